/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * Bytes by the cgroup of the socket, for containers that share the host's network namespace and so
 * have no counters of their own. Attached to the root of the version 2 hierarchy.
 */
#include "../ebpf.h"

struct __sk_buff {
    u32 len;
};

struct traffic {
    u64 received;
    u64 sent;
};

struct { MAP_UINT(type, MAP_TYPE_LRU_HASH); MAP_UINT(max_entries, 8192); MAP_TYPE(key, u64); MAP_TYPE(value, struct traffic); } traffic SEC(".maps");

INLINE int count(struct __sk_buff *skb, int sent)
{
    u64 id = bpf_skb_cgroup_id(skb);
    struct traffic *cell = bpf_map_lookup_elem(&traffic, &id);
    if (!cell) {
        struct traffic fresh = {};
        /* Not overwriting: another CPU may have been first. */
        bpf_map_update_elem(&traffic, &id, &fresh, 1 /* BPF_NOEXIST */);
        cell = bpf_map_lookup_elem(&traffic, &id);
        if (!cell)
            return 1;
    }
    __sync_fetch_and_add(sent ? &cell->sent : &cell->received, skb->len);
    return 1; /* let it pass, always */
}

SEC("cgroup_skb/ingress")
int on_ingress(struct __sk_buff *skb)
{
    return count(skb, 0);
}

SEC("cgroup_skb/egress")
int on_egress(struct __sk_buff *skb)
{
    return count(skb, 1);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
