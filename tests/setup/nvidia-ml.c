// A stand-in for libnvidia-ml.so.1 with two GPUs and no MIG: what nvidia-ctk and NVIDIA's device plugin
// ask for to list devices, and nothing else. DRIVER_VERSION is given by whoever compiles it. Numbers and structures are those of NVML's public header.
#include <stdio.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, GPUS = 2 };

static const struct gpu {
    unsigned minor, bus;
    const char *uuid;
} gpus[GPUS] = {
    {0, 0x65, "GPU-11111111-1111-1111-1111-111111111111"},
    {1, 0xb3, "GPU-22222222-2222-2222-2222-222222222222"},
};

typedef struct {
    char legacy[16];
    unsigned domain, bus, device, id, subsystem;
    char address[32];
} pci_info;

int nvmlInit_v2(void) { return SUCCESS; }
int nvmlInitWithFlags(unsigned flags) { (void)flags; return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { return code ? "an error of the stand-in" : "success"; }

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    snprintf(version, length, "%s", DRIVER_VERSION);
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count) { *count = GPUS; return SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, const struct gpu **gpu) {
    if (index >= GPUS) return INVALID_ARGUMENT;
    *gpu = &gpus[index];
    return SUCCESS;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, const struct gpu **gpu) {
    for (int i = 0; i < GPUS; i++)
        if (!strcmp(uuid, gpus[i].uuid)) { *gpu = &gpus[i]; return SUCCESS; }
    return NOT_FOUND;
}

int nvmlDeviceGetUUID(const struct gpu *gpu, char *uuid, unsigned length) {
    snprintf(uuid, length, "%s", gpu->uuid);
    return SUCCESS;
}

int nvmlDeviceGetName(const struct gpu *gpu, char *name, unsigned length) {
    (void)gpu;
    snprintf(name, length, "Stand-in");
    return SUCCESS;
}

int nvmlDeviceGetIndex(const struct gpu *gpu, unsigned *index) { *index = (unsigned)(gpu - gpus); return SUCCESS; }
int nvmlDeviceGetMinorNumber(const struct gpu *gpu, unsigned *minor) { *minor = gpu->minor; return SUCCESS; }

int nvmlDeviceGetPciInfo_v3(const struct gpu *gpu, pci_info *info) {
    memset(info, 0, sizeof *info);
    info->bus = gpu->bus;
    info->id = 0x20b010de;
    snprintf(info->legacy, sizeof info->legacy, "0000:%02x:00.0", gpu->bus);
    snprintf(info->address, sizeof info->address, "00000000:%02x:00.0", gpu->bus);
    return SUCCESS;
}

typedef struct {
    unsigned long long total, free, used;
} memory;

int nvmlDeviceGetMemoryInfo(const struct gpu *gpu, memory *info) {
    (void)gpu;
    info->total = info->free = 80ULL << 30;
    info->used = 0;
    return SUCCESS;
}

int nvmlDeviceGetCudaComputeCapability(const struct gpu *gpu, int *major, int *minor) {
    (void)gpu;
    *major = 8;
    *minor = 0;
    return SUCCESS;
}

int nvmlDeviceIsMigDeviceHandle(const struct gpu *gpu, unsigned *is) { (void)gpu; *is = 0; return SUCCESS; }

int nvmlDeviceGetMigMode(const struct gpu *gpu, unsigned *now, unsigned *later) {
    (void)gpu;
    *now = *later = 0;
    return NOT_SUPPORTED;
}
