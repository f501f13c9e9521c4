/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * Whose a block request is: the cgroup that the kernel charges it to, and whoever is charged for the
 * memory that it writes.
 *
 * Include after owner.h.
 */
#ifndef DUNNAGE_BIO_H
#define DUNNAGE_BIO_H

#include "block.h"

/* The memory cgroup of the page that was looked at last, and its key: pages come in runs. */
struct charged {
    u64 group;  /* address, */
    u64 serial; /* and the number that is never another's */
    u64 key;
};

/* The key of the cgroup that the kernel charges; 0 where that is a root. */
INLINE u64 key_of_block_cgroup(struct bio *bio)
{
    if (!FIELD_EXISTS(((struct bio *)0)->bi_blkg))
        return 0;
    struct blkcg_gq *pays = bio->bi_blkg;
    if (!pays)
        return 0;
    struct cgroup *group = pays->blkcg->css.cgroup;
    if (group->level <= 0)
        return 0;
    u64 id = group->kn->id;
    return group->root->hierarchy_id ? id | KEY_V1_BLKIO : id;
}

/* The key of a memory cgroup; 0 for a root. */
RARE u64 key_of_memory_cgroup(u64 address)
{
    struct mem_cgroup___numbered *memory = (struct mem_cgroup___numbered *)address;
    struct cgroup *group = 0;
    struct cgroup_root *root = 0;
    struct kernfs_node *node = 0;
    int level = 0, hierarchy = 0;
    u64 id = 0;
    READ(group, memory, css.cgroup);
    READ(level, group, level);
    if (level <= 0)
        return 0;
    READ(node, group, kn);
    READ(root, group, root);
    READ(id, node, id);
    READ(hierarchy, root, hierarchy_id);
    return hierarchy ? id | KEY_V1_MEMORY : id;
}

/* The first page of a request, or of the folio that it is in; 0 where there is none. */
INLINE struct page *first_page(struct bio *bio)
{
    struct bio_vec *vector = bio->bi_io_vec;
    struct page *page = 0;
    if (!vector || !bio->bi_iter.bi_size)
        return 0;
    u64 index = bio->bi_iter.bi_idx;
    if (!index) {
        page = vector->bv_page;
    } else {
        /* A clone begins somewhere in the vector of its origin. */
        vector = (void *)vector + index * sizeof(void *) * 2;
        READ(page, vector, bv_page);
    }
    if (!page)
        return 0;
    unsigned long head = 0;
    READ(head, page, compound_head);
    return head & 1 ? (struct page *)(head - 1) : page;
}

/* Who was charged for a page, or 0: on version 1, whoever dirtied it. */
INLINE u64 key_of_page(struct page *page, struct charged *last)
{
    unsigned long data = 0;
    if (!page || (!FIELD_EXISTS(((struct page *)0)->memcg_data) && !FIELD_EXISTS(((struct folio *)0)->memcg_data)))
        return 0;
    if (FIELD_EXISTS(((struct folio *)0)->memcg_data))
        READ(data, (struct folio *)page, memcg_data);
    else
        READ(data, page, memcg_data);
    if (!data || data & MEMCG_NOT_A_GROUP)
        return 0;
    struct mem_cgroup___numbered *group = (struct mem_cgroup___numbered *)(data & ~(unsigned long)MEMCG_FLAGS);
    if (data & MEMCG_KERNEL) {
        struct obj_cgroup *object = (struct obj_cgroup *)group;
        READ(group, object, memcg);
    }
    u64 serial = 0;
    READ(serial, group, css.serial_nr);
    if (last->group != (u64)group || last->serial != serial) {
        last->key = key_of_memory_cgroup((u64)group);
        last->group = (u64)group;
        last->serial = serial;
    }
    return last->key;
}

#endif
