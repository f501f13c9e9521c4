/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * Tasks inside fsync, and who has a journal write how much.
 *
 * Part of disk.bpf.c, whose functions account a request.
 */
#ifndef DUNNAGE_DISK_SYNC_H
#define DUNNAGE_DISK_SYNC_H

/* Where the disk of a file system is; DEVICES where nobody syncs a file of it. */
INLINE u32 disk_of(struct directory *all, u32 number)
{
    u32 first = hash(number);
    for (u32 i = 0; i < FILESYSTEMS; i++) {
        u64 found = all->filesystem[(first + i) % FILESYSTEMS];
        if (found >> 32 == number)
            return (u32)found % DEVICES;
        if (!found)
            break;
    }
    return DEVICES;
}

INLINE void note_filesystem(struct directory *all, u32 number, u32 index)
{
    u32 first = hash(number);
    for (u32 i = 0; i < FILESYSTEMS; i++) {
        u64 *place = &all->filesystem[(first + i) % FILESYSTEMS];
        if (!*place)
            __sync_val_compare_and_swap(place, 0, (u64)number << 32 | index);
        if (*place >> 32 == number)
            return;
    }
}

/* Ends what a task waits for where it is known to be elsewhere: the end was missed. */
RARE void forget(struct directory *all, u32 task, struct sync *sync)
{
    struct sync old = *sync;
    if (bpf_map_delete_elem(&syncs, &task))
        return;
    __sync_fetch_and_add(&all->syncing, -1);
    __sync_fetch_and_add(&all->missed, 1);
    end(old.place | UNSEEN, old.start, old.occupied);
}

/* The task that runs enters fsync of a file. What has no device of its own is nobody's to wait for: a file
 * of an overlay syncs the one below it. */
INLINE int enter(struct file *file)
{
    struct super_block *filesystem = file->f_inode->i_sb;
    struct block_device *disk = filesystem->s_bdev;
    if (!disk)
        return 0;
    u32 zero = 0, task = bpf_get_current_pid_tgid();
    struct directory *all = bpf_map_lookup_elem(&directory, &zero);
    if (!all)
        return 0;
    u32 index = device_of(all, disk->bd_disk);
    struct device *device = bpf_map_lookup_elem(&devices, &index);
    struct blame *blame = bpf_map_lookup_elem(&blames, &index);
    struct sync *before = bpf_map_lookup_elem(&syncs, &task), fresh = { .start = bpf_ktime_get_ns() };
    if (before)
        forget(all, task, before);
    if (!device || !blame || bpf_map_update_elem(&syncs, &task, &fresh, BPF_NOEXIST)) {
        __sync_fetch_and_add(&all->lost, 1);
        return 0;
    }
    struct sync *sync = bpf_map_lookup_elem(&syncs, &task);
    if (!sync)
        return 0;
    note_filesystem(all, filesystem->s_dev, index);
    u64 place = PLACE(index, 0, SYNC_CLASS, 1, 0);
    struct beginning waits = {.now = fresh.start, .place = place};
    waits.key = key_of_requests(bpf_get_current_task_btf(), &waits.name);
    u32 slot = begin(&waits);
    APART(slot);
    sync->place = place | (u64)(slot % SLOTS) << 8;
    sync->occupied = blame->occupied[slot % SLOTS];
    sync->journal = blame->occupied[device->journal % SLOTS];
    sync->busy = device->busy;
    __sync_fetch_and_add(&all->syncing, 1);
    return 0;
}

/* The task that runs leaves fsync. */
INLINE int leave(void)
{
    u32 zero = 0, task = bpf_get_current_pid_tgid();
    struct directory *all = bpf_map_lookup_elem(&directory, &zero);
    struct sync *found = bpf_map_lookup_elem(&syncs, &task);
    if (!all || !found)
        return 0;
    struct sync sync = *found;
    bpf_map_delete_elem(&syncs, &task);
    __sync_fetch_and_add(&all->syncing, -1);
    u32 index = sync.place & 0xff, slot = sync.place >> 8 & (SLOTS - 1);
    struct device *device = bpf_map_lookup_elem(&devices, &index);
    struct blame *blame = bpf_map_lookup_elem(&blames, &index);
    if (!device || !blame)
        return 0;
    /* Alone is who had nobody's requests beside its own but the journal's. */
    u64 occupied = blame->occupied[slot];
    u64 mine = occupied - sync.occupied + blame->occupied[device->journal % SLOTS] - sync.journal;
    u64 foreign = device->busy - sync.busy - mine, time = bpf_ktime_get_ns() - sync.start;
    if ((s64)foreign < 0)
        foreign = 0;
    end(sync.place, sync.start, occupied - (foreign < time ? time - foreign : 0));
    return 0;
}

/* Every file system's: the one function behind fsync, fdatasync and O_SYNC. */
SEC("fentry/vfs_fsync_range")
int on_sync(u64 *context)
{
    return enter((struct file *)context[0]);
}

SEC("fexit/vfs_fsync_range")
int on_synced(u64 *context)
{
    return leave();
}

/* That of ext4 where it is built in, for kernels that let nobody hook a function. */
SEC("tp_btf/ext4_sync_file_enter")
int on_sync_of_ext4(u64 *context)
{
    return enter((struct file *)context[0]);
}

SEC("tp_btf/ext4_sync_file_exit")
int on_synced_of_ext4(u64 *context)
{
    return leave();
}

/* Counts blocks that somebody has a journal write. */
GLOBAL int journalled(const struct beginning *written)
{
    if (!written)
        return 0;
    u32 index = written->place & 0xff;
    struct device *device = bpf_map_lookup_elem(&devices, &index);
    struct slots *owners = bpf_map_lookup_elem(&slots, &index);
    if (!device || !owners)
        return 0;
    bpf_spin_lock(&device->lock);
    u32 slot = slot_of(device, owners, written) % SLOTS;
    owners->slot[slot].journalled += written->amount;
    bpf_spin_unlock(&device->lock);
    return 0;
}

SEC("tp_btf/jbd2_handle_stats")
int on_handle(u64 *context)
{
    u32 zero = 0, blocks = context[7];
    struct directory *all = bpf_map_lookup_elem(&directory, &zero);
    if (!all || (s32)blocks <= 0)
        return 0;
    u32 index = disk_of(all, context[0]);
    if (index >= DEVICES)
        return 0;
    struct beginning written = {.place = index, .amount = blocks};
    written.key = key_of_requests(bpf_get_current_task_btf(), &written.name);
    journalled(&written);
    return 0;
}

#endif
