// SPDX-License-Identifier: GPL-2.0
/*
 * For tests, in a virtual machine: makes QEMU's shared memory card (-device ivshmem-plain, whose BAR 2
 * is plain memory) an FPGA card with a device feature list, on the kernel's own DFL core. What is
 * written into the memory is what Documentation/fpga/dfl.rst says that hardware shows: a management
 * engine with partial reconfiguration and error registers, and one port with an accelerator function.
 * Everything above that (regions, nodes, sysfs) is the kernel's own code.
 */
#include <linux/delay.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/pci.h>
#include "dfl.h"

#define FME_PR 0x1000
#define FME_ERRORS 0x2000
#define PORT 0x10000
#define PORT_ERRORS 0x11000
#define AFU 0x12000
#define END 0x20000
#define LIST_LENGTH 0x8000

/* Of dfl-fme-pr.h and afu.h, which the core's header leaves out. */
#define PR_INTERFACE_ID_LOW 0xa8
#define PR_INTERFACE_ID_HIGH 0xb0
#define PORT_ERROR_REGISTER 0x10

static unsigned int dead;
module_param(dead, uint, 0444);
MODULE_PARM_DESC(dead, "cards, as bits, whose function answers with ones");

static unsigned int failed;
module_param(failed, uint, 0444);
MODULE_PARM_DESC(failed, "cards, as bits, whose port has an error");

static unsigned int cards;

struct card {
	void __iomem *memory;
	struct dfl_fpga_cdev *cdev;
	struct task_struct *reset;
};

static u64 header(u64 type, u64 id, u64 next)
{
	return FIELD_PREP(DFH_TYPE, type) | FIELD_PREP(DFH_ID, id) |
	       FIELD_PREP(DFH_NEXT_HDR_OFST, next) | FIELD_PREP(DFH_EOL, !next);
}

static void put(struct card *card, unsigned int at, u64 value)
{
	writeq(value, card->memory + at);
}

static void fill(struct card *card, unsigned int number)
{
	bool is_dead = dead & BIT(number);

	memset_io(card->memory, 0, END);
	put(card, DFH, header(DFH_TYPE_FIU, DFH_ID_FIU_FME, FME_PR));
	put(card, FME_HDR_CAP, FIELD_PREP(FME_CAP_NUM_PORTS, 1));
	put(card, FME_HDR_PORT_OFST(0), FME_PORT_OFST_IMP |
	    FIELD_PREP(FME_PORT_OFST_BAR_ID, 2) | FIELD_PREP(FME_PORT_OFST_DFH_OFST, PORT));
	put(card, FME_HDR_BITSTREAM_ID, 0x23000410010310ULL);
	put(card, FME_HDR_BITSTREAM_MD, 0x20260101ULL);
	put(card, FME_PR + DFH, header(DFH_TYPE_PRIVATE, FME_FEATURE_ID_PR_MGMT, FME_ERRORS - FME_PR));
	put(card, FME_PR + PR_INTERFACE_ID_LOW, 0x9926ab6d6c925a68ULL);
	put(card, FME_PR + PR_INTERFACE_ID_HIGH, 0x69528db6eb31577aULL);
	put(card, FME_ERRORS + DFH, header(DFH_TYPE_PRIVATE, FME_FEATURE_ID_GLOBAL_ERR, 0));

	put(card, PORT + DFH, header(DFH_TYPE_FIU, DFH_ID_FIU_PORT, PORT_ERRORS - PORT));
	put(card, PORT + NEXT_AFU, AFU - PORT);
	put(card, PORT + PORT_HDR_CAP, FIELD_PREP(PORT_CAP_MMIO_SIZE, 4));
	put(card, PORT_ERRORS + DFH, header(DFH_TYPE_PRIVATE, PORT_FEATURE_ID_ERROR, 0));
	put(card, PORT_ERRORS + PORT_ERROR_REGISTER, failed & BIT(number) ? 0x4 : 0);
	put(card, AFU + DFH, header(DFH_TYPE_AFU, 0, 0));
	put(card, AFU + GUID_L, is_dead ? ~0ULL : 0x9aeffe5f84570612ULL);
	put(card, AFU + GUID_H, is_dead ? ~0ULL : 0xd8424dc4a4a3c413ULL);
}

/* Hardware acknowledges a soft reset within a millisecond; the driver waits for it. */
static int acknowledge(void *data)
{
	void __iomem *control = ((struct card *)data)->memory + PORT + PORT_HDR_CTRL;

	while (!kthread_should_stop()) {
		u64 value = readq(control);
		bool asked = value & PORT_CTRL_SFTRST;
		bool answered = value & PORT_CTRL_SFTRST_ACK;

		if (asked != answered)
			writeq(value ^ PORT_CTRL_SFTRST_ACK, control);
		usleep_range(50, 100);
	}
	return 0;
}

static int fake_dfl_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	resource_size_t start = pci_resource_start(pdev, 2);
	struct dfl_fpga_enum_info *info;
	struct card *card;
	int ret;

	if (pci_resource_len(pdev, 2) < END)
		return -ENODEV;
	card = devm_kzalloc(&pdev->dev, sizeof(*card), GFP_KERNEL);
	if (!card)
		return -ENOMEM;
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	card->memory = devm_ioremap(&pdev->dev, start, END);
	if (!card->memory)
		return -ENOMEM;
	fill(card, cards++ % 32);

	card->reset = kthread_run(acknowledge, card, "fake_dfl");
	if (IS_ERR(card->reset))
		return PTR_ERR(card->reset);
	info = dfl_fpga_enum_info_alloc(&pdev->dev);
	if (!info) {
		ret = -ENOMEM;
		goto stop;
	}
	ret = dfl_fpga_enum_info_add_dfl(info, start, LIST_LENGTH);
	if (!ret)
		ret = dfl_fpga_enum_info_add_dfl(info, start + PORT, LIST_LENGTH);
	if (!ret) {
		card->cdev = dfl_fpga_feature_devs_enumerate(info);
		ret = PTR_ERR_OR_ZERO(card->cdev);
	}
	dfl_fpga_enum_info_free(info);
	if (ret)
		goto stop;
	pci_set_drvdata(pdev, card);
	return 0;

stop:
	kthread_stop(card->reset);
	return ret;
}

static void fake_dfl_remove(struct pci_dev *pdev)
{
	struct card *card = pci_get_drvdata(pdev);

	dfl_fpga_feature_devs_remove(card->cdev);
	kthread_stop(card->reset);
}

static const struct pci_device_id fake_dfl_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, 0x1110) },
	{}
};

static struct pci_driver fake_dfl_driver = {
	.name = "fake_dfl",
	.id_table = fake_dfl_ids,
	.probe = fake_dfl_probe,
	.remove = fake_dfl_remove,
};
module_pci_driver(fake_dfl_driver);
MODULE_DESCRIPTION("An FPGA card with a device feature list, for tests");
MODULE_LICENSE("GPL");
