/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * Whose a packet or a block request is, as a key; 0 where it is not known.
 */
#ifndef DUNNAGE_INTERRUPTS_WHOSE_H
#define DUNNAGE_INTERRUPTS_WHOSE_H

/* Set by user space before loading: the inode of the host's network namespace. */
volatile const u32 host_space = 0;

#define IFF_LOOPBACK 8 /* linux/if.h */

struct ns_common {
    unsigned int inum;
} RELOCATED;

struct net {
    struct ns_common ns;
} RELOCATED;

typedef struct {
    struct net *net;
} RELOCATED possible_net_t;

struct net_device {
    unsigned int flags;
    possible_net_t nd_net;
} RELOCATED;

/* The key of whoever made a packet's socket; KEY_KERNEL where that was in the root cgroup. */
INLINE u64 key_of_packet(struct sk_buff *packet)
{
    struct sock *socket = packet->sk;
    u64 key = key_of_socket(socket);
    if (key == KEY_UNKNOWN)
        return 0;
    struct cgroup *group = socket->sk_cgrp_data.cgroup;
    return group->level > 0 ? key : KEY_KERNEL;
}

struct blkcg {
    struct cgroup_subsys_state css;
} RELOCATED;

struct blkcg_gq {
    struct blkcg *blkcg;
} RELOCATED;

struct page {
    unsigned long compound_head;
    unsigned long memcg_data;
} RELOCATED;

struct bio_vec {
    struct page *bv_page;
} RELOCATED;

struct bio {
    struct blkcg_gq *bi_blkg;
    struct bio_vec *bi_io_vec;
    unsigned short bi_vcnt;
} RELOCATED;

struct request {
    struct bio *bio;
} RELOCATED;

struct mem_cgroup {
    struct cgroup_subsys_state css;
} RELOCATED;

/* What memcg_data says that it is no pointer to the group of a page (enum page_memcg_data_flags). */
#define NO_GROUP 3

/* The memory cgroup that is charged with a page: whoever dirtied it, where nobody else had it before. */
INLINE u64 key_of_page(struct page *page)
{
    u64 head = 0, data = 0;
    if (!FIELD_EXISTS(page->memcg_data))
        return 0;
    bpf_probe_read_kernel(&head, sizeof(head), (void *)page + FIELD_OFFSET(page->compound_head));
    if (head & 1)
        page = (void *)(head - 1);
    bpf_probe_read_kernel(&data, sizeof(data), (void *)page + FIELD_OFFSET(page->memcg_data));
    if (!data || data & NO_GROUP)
        return 0;
    struct mem_cgroup *group = (void *)data;
    struct cgroup *cgroup = 0;
    struct kernfs_node *node = 0;
    int level = 0, hierarchy = 0;
    struct cgroup_root *root = 0;
    u64 id = 0;
    bpf_probe_read_kernel(&cgroup, sizeof(cgroup), &group->css.cgroup);
    bpf_probe_read_kernel(&level, sizeof(level), &cgroup->level);
    if (level <= 0)
        return 0;
    bpf_probe_read_kernel(&root, sizeof(root), &cgroup->root);
    bpf_probe_read_kernel(&hierarchy, sizeof(hierarchy), &root->hierarchy_id);
    bpf_probe_read_kernel(&node, sizeof(node), &cgroup->kn);
    bpf_probe_read_kernel(&id, sizeof(id), &node->id);
    return hierarchy ? id | KEY_V1_MEMORY : id;
}

/* By the cgroup of the request; buffered writes have none where writeback knows no cgroups (version 1),
 * so by that of their first page. */
INLINE u64 key_of_bio(struct bio *bio)
{
    if (!bio)
        return 0;
    struct blkcg_gq *group = bio->bi_blkg;
    if (group) {
        struct cgroup *cgroup = group->blkcg->css.cgroup;
        if (cgroup->level > 0)
            return cgroup->root->hierarchy_id ? cgroup->kn->id | KEY_V1_BLKIO : cgroup->kn->id;
    }
    struct bio_vec *first = bio->bi_io_vec;
    if (!bio->bi_vcnt || !first)
        return 0;
    struct page *page = 0;
    bpf_probe_read_kernel(&page, sizeof(page), &first->bv_page);
    return page ? key_of_page(page) : 0;
}

#endif
