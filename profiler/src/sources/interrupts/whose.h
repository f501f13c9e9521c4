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

/* By the cgroup of the request; buffered writes have none where writeback knows no cgroups (version 1),
 * so by that of their first page. */
INLINE u64 key_of_bio(struct bio *bio, struct charged *last)
{
    if (!bio)
        return 0;
    u64 key = key_of_block_cgroup(bio);
    return key ? key : key_of_page(first_page(bio), last);
}

#endif
