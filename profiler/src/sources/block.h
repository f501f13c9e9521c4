/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * The types of the block layer, and of pages and who is charged for them, as far as somebody here reads
 * them.
 */
#ifndef DUNNAGE_BLOCK_H
#define DUNNAGE_BLOCK_H

/* include/linux/memcontrol.h: the lowest bits of memcg_data. */
#define MEMCG_NOT_A_GROUP 1 /* a table of slab objects */
#define MEMCG_KERNEL 2      /* an obj_cgroup */
#define MEMCG_FLAGS 7

struct blkcg {
    struct cgroup_subsys_state css;
} RELOCATED;

struct blkcg_gq {
    struct blkcg *blkcg;
} RELOCATED;

/* The same, with another field of it. */
struct cgroup_subsys_state___numbered {
    struct cgroup *cgroup;
    u64 serial_nr;
} RELOCATED;

struct mem_cgroup___numbered {
    struct cgroup_subsys_state___numbered css;
} RELOCATED;

struct obj_cgroup {
    struct mem_cgroup___numbered *memcg;
} RELOCATED;

struct address_space;

struct page {
    unsigned long compound_head;
    unsigned long memcg_data;
    struct address_space *mapping;
} RELOCATED;

/* Since 5.16; the first page of a folio. */
struct folio {
    unsigned long memcg_data;
    struct address_space *mapping;
} RELOCATED;

struct bio_vec {
    struct page *bv_page;
} RELOCATED;

struct bvec_iter {
    unsigned int bi_size;
    unsigned int bi_idx;
} RELOCATED;

struct block_device;

struct bio {
    struct block_device *bi_bdev;
    unsigned int bi_opf;
    struct bvec_iter bi_iter;
    struct blkcg_gq *bi_blkg;
    struct bio_vec *bi_io_vec;
    struct bio *bi_next;
} RELOCATED;

struct request {
    struct bio *bio;
} RELOCATED;

/* Reads a field through a pointer that the verifier knows nothing of. */
#define READ(to, pointer, field) bpf_probe_read_kernel(&(to), sizeof(to), &(pointer)->field)

#endif
