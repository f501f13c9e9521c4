// SPDX-License-Identifier: GPL-2.0
/*
 * For tests, in a virtual machine: render nodes and compute accelerators that do nothing, on the
 * kernel's own DRM core, so that nodes, classes and events are the real ones. Each is a platform
 * device: fake_gpu.0, fake_gpu.1, ... with /dev/dri/renderD*, then with /dev/accel/accel*.
 */
#include <drm/drm_accel.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_ioctl.h>
#include <linux/module.h>
#include <linux/platform_device.h>

#define MOST 8

static unsigned int gpus = 2;
module_param(gpus, uint, 0444);
MODULE_PARM_DESC(gpus, "how many render nodes");

static unsigned int accels = 1;
module_param(accels, uint, 0444);
MODULE_PARM_DESC(accels, "how many compute accelerators");

static struct platform_device *places[2 * MOST];

DEFINE_DRM_GEM_FOPS(gpu_fops);
DEFINE_DRM_ACCEL_FOPS(accel_fops);

static const struct drm_driver gpu_driver = {
	.driver_features = DRIVER_GEM | DRIVER_RENDER,
	.fops = &gpu_fops,
	.name = "fake_gpu",
	.desc = "render node for tests",
	.date = "20261121",
	.major = 1,
};

static const struct drm_driver accel_driver = {
	.driver_features = DRIVER_GEM | DRIVER_COMPUTE_ACCEL,
	.fops = &accel_fops,
	.name = "fake_accel",
	.desc = "accelerator for tests",
	.date = "20261121",
	.major = 1,
};

static int fake_gpu_probe(struct platform_device *pdev)
{
	struct drm_device *drm;
	int ret;

	drm = drm_dev_alloc(pdev->id < gpus ? &gpu_driver : &accel_driver, &pdev->dev);
	if (IS_ERR(drm))
		return PTR_ERR(drm);
	ret = drm_dev_register(drm, 0);
	if (ret) {
		drm_dev_put(drm);
		return ret;
	}
	platform_set_drvdata(pdev, drm);
	return 0;
}

static void fake_gpu_remove(struct platform_device *pdev)
{
	struct drm_device *drm = platform_get_drvdata(pdev);

	drm_dev_unregister(drm);
	drm_dev_put(drm);
}

static struct platform_driver fake_gpu_driver = {
	.driver.name = "fake_gpu",
	.probe = fake_gpu_probe,
	.remove_new = fake_gpu_remove,
};

static void forget(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(places); i++)
		platform_device_unregister(places[i]);
	platform_driver_unregister(&fake_gpu_driver);
}

static int __init fake_gpu_init(void)
{
	unsigned int i;
	int ret;

	gpus = min(gpus, MOST);
	accels = min(accels, MOST);
	ret = platform_driver_register(&fake_gpu_driver);
	if (ret)
		return ret;
	for (i = 0; i < gpus + accels; i++) {
		struct platform_device *place;

		place = platform_device_register_simple("fake_gpu", i, NULL, 0);
		if (IS_ERR(place)) {
			forget();
			return PTR_ERR(place);
		}
		places[i] = place;
	}
	return 0;
}

static void __exit fake_gpu_exit(void)
{
	forget();
}

module_init(fake_gpu_init);
module_exit(fake_gpu_exit);
MODULE_DESCRIPTION("Render nodes and accelerators that do nothing, for tests");
MODULE_LICENSE("GPL");
