/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * The types of the block layer that disk.bpf.c reads, and whose a request is.
 */
#ifndef DUNNAGE_DISK_KERNEL_H
#define DUNNAGE_DISK_KERNEL_H

/* include/linux/blk_types.h; unchanged since 5.12. */
#define OP_MASK 0xff
#define OP_WRITE 1 /* every odd operation writes */
#define OP_FLUSH 2
#define OP_DISCARD 3
#define OP_SECURE_ERASE 5
#define REQ_SYNC (1U << 11)
#define REQ_META (1U << 12)
#define REQ_PREFLUSH (1U << 18)

/* A kernel thread with this at the start of its command writes a journal of ext4 or ocfs2. Others, which
 * any work may run in, write one where they wait for a file system's own blocks: so does XFS. */
#define JOURNAL_THREAD 0x2f3264626aULL /* "jbd2/" */
#define JOURNAL_THREAD_BITS 0xffffffffffULL

#define KEY_JOURNAL 3 /* what a journal writes for many at once; owner.h has the others */

/* include/uapi/linux/stat.h */
#define S_IFMT 0170000
#define S_IFREG 0100000

#define BPF_NOEXIST 1 /* include/uapi/linux/bpf.h */

static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;
static long (*const bpf_spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
static long (*const bpf_spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;

struct gendisk {
    int major;
    int first_minor;
} RELOCATED;

struct block_device {
    struct gendisk *bd_disk;
} RELOCATED;

struct inode;

struct address_space {
    struct inode *host;
} RELOCATED;

struct super_block {
    u32 s_dev;
    struct block_device *s_bdev;
} RELOCATED;

struct inode {
    unsigned short i_mode;
    struct super_block *i_sb;
} RELOCATED;

struct file {
    struct inode *f_inode;
} RELOCATED;

/* owner.h has the values that all objects need. */
enum cgroup_subsys_id___disk { io_cgrp_id = 3 };

/* Whether a page belongs to a regular file, and not to the file system's own blocks. */
INLINE int is_of_file(struct page *page)
{
    struct address_space *mapping = 0;
    struct inode *host = 0;
    unsigned short mode = 0;
    if (FIELD_EXISTS(((struct folio *)0)->mapping))
        READ(mapping, (struct folio *)page, mapping);
    else
        READ(mapping, page, mapping);
    if (!mapping || (unsigned long)mapping & 3)
        return 0;
    READ(host, mapping, host);
    READ(mode, host, i_mode);
    return (mode & S_IFMT) == S_IFREG;
}

INLINE int writes_a_journal(struct task_struct *task, u32 flags)
{
    if (!(task->flags & PF_KTHREAD))
        return 0;
    if ((flags & (REQ_SYNC | REQ_META)) == (REQ_SYNC | REQ_META))
        return 1;
    u64 command = 0;
    bpf_probe_read_kernel(&command, sizeof(command), &task->comm);
    return (command & JOURNAL_THREAD_BITS) == JOURNAL_THREAD;
}

/* Whose a task's own requests are. */
INLINE u64 key_of_requests(struct task_struct *task, struct name *name)
{
    if (ENUM_EXISTS(enum cgroup_subsys_id___disk, io_cgrp_id)) {
        struct cgroup_subsys_state *state = task->cgroups->subsys[ENUM_VALUE(enum cgroup_subsys_id___disk, io_cgrp_id)];
        struct cgroup *group = state->cgroup;
        if (group->level > 0 && group->root->hierarchy_id)
            return group->kn->id | KEY_V1_BLKIO;
    }
    return key_of_task(task, name);
}

/* Whose a request is: of the cgroup that the kernel charges; where that is a root, of the task that reads,
 * and of whoever was charged for the pages that are written or that a kernel thread moves; else of the
 * task that queues it. A journal writes the files of a transaction too, and their pages say whose they
 * are; a page of its own blocks says who touched it first, which is nothing. */
INLINE u64 key_of_bio(struct bio *bio, u32 writes, struct charged *last, struct name *name)
{
    u64 key = key_of_block_cgroup(bio);
    if (key)
        return key;
    struct task_struct *task = bpf_get_current_task_btf();
    if (!writes && !(task->flags & PF_KTHREAD))
        return key_of_task(task, name);
    struct page *page = first_page(bio);
    int journal = writes_a_journal(task, writes ? bio->bi_opf : 0);
    if (!journal || (page && is_of_file(page)))
        key = key_of_page(page, last);
    if (key)
        return key;
    return journal ? KEY_JOURNAL : key_of_task(task, name);
}

#endif
