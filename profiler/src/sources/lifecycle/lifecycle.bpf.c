/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * Cgroups as they are made and removed, with id and path, so that one that lives shorter than a tick
 * can still be named. Rare events, sent through a ring buffer.
 */
#include "../ebpf.h"

#define PATH 1024 /* TRACE_CGROUP_PATH_LEN: the kernel cuts longer ones */
#define MADE 1
#define REMOVED 2

struct event {
    u64 id;
    u32 hierarchy; /* 0 is version 2 */
    u16 what;
    u16 length;    /* of the path, its final zero included */
    char path[PATH];
};

struct { MAP_UINT(type, MAP_TYPE_RINGBUF); MAP_UINT(max_entries, 256 * 1024); } events SEC(".maps");
struct { MAP_UINT(type, MAP_TYPE_PERCPU_ARRAY); MAP_UINT(max_entries, 1); MAP_TYPE(key, u32); MAP_TYPE(value, struct event); } scratch SEC(".maps");
/* Events that found the ring buffer full. */
struct { MAP_UINT(type, MAP_TYPE_ARRAY); MAP_UINT(max_entries, 1); MAP_TYPE(key, u32); MAP_TYPE(value, u64); } lost SEC(".maps");

INLINE int send(struct cgroup *group, const char *path, u16 what)
{
    u32 zero = 0;
    struct event *event = bpf_map_lookup_elem(&scratch, &zero);
    if (!event)
        return 0;
    event->id = group->kn->id;
    event->hierarchy = group->root->hierarchy_id;
    event->what = what;
    long length = bpf_probe_read_kernel_str(event->path, PATH, path);
    if (length < 0)
        length = 0;
    event->length = length;
    u64 size = __builtin_offsetof(struct event, path) + (length & (PATH * 2 - 1));
    if (size > sizeof(*event))
        size = sizeof(*event);
    if (bpf_ringbuf_output(&events, event, size, 0)) {
        u64 *count = bpf_map_lookup_elem(&lost, &zero);
        if (count)
            __sync_fetch_and_add(count, 1);
    }
    return 0;
}

SEC("tp_btf/cgroup_mkdir")
int on_mkdir(u64 *ctx)
{
    return send((void *)ctx[0], (const char *)ctx[1], MADE);
}

SEC("tp_btf/cgroup_rmdir")
int on_rmdir(u64 *ctx)
{
    return send((void *)ctx[0], (const char *)ctx[1], REMOVED);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
