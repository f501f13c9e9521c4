/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * Whose a packet is, as far as its socket tells: the version 2 cgroup in which the socket was made.
 * A packet keeps its socket from the sender through a veth pair to where the other end receives it.
 * On its way over a bridge it may lose it, and IP takes it away (ip_rcv_core): a packet that comes
 * from another machine, or that this host forwards, has none.
 *
 * Include after owner.h.
 */
#ifndef DUNNAGE_PACKET_H
#define DUNNAGE_PACKET_H

/* include/net/tcp_states.h: sockets of these states are smaller than struct sock. */
#define TCP_TIME_WAIT 6
#define TCP_NEW_SYN_RECV 12

struct sock_cgroup_data {
    struct cgroup *cgroup; /* since 5.15; before, a word that is a pointer or two numbers */
} RELOCATED;

struct sock_common {
    volatile unsigned char skc_state;
} RELOCATED;

struct sock {
    struct sock_common __sk_common;
    struct sock_cgroup_data sk_cgrp_data;
} RELOCATED;

struct net_device;

struct sk_buff {
    struct sk_buff *next;
    struct net_device *dev;
    struct sock *sk;
    unsigned int len;
    int skb_iif; /* 0 before it is received */
} RELOCATED;

/* The key of a socket's owner; KEY_UNKNOWN where the kernel does not tell it. */
INLINE u64 key_of_socket(struct sock *sk)
{
    if (!sk || v2_absent || !FIELD_EXISTS(sk->sk_cgrp_data.cgroup))
        return KEY_UNKNOWN;
    u8 state = sk->__sk_common.skc_state;
    if (state == TCP_TIME_WAIT || state == TCP_NEW_SYN_RECV)
        return KEY_UNKNOWN;
    struct cgroup *group = sk->sk_cgrp_data.cgroup;
    if (!group)
        return KEY_UNKNOWN;
    /* The root's own id where a process of the root cgroup, or the kernel, made the socket. */
    return group->kn->id;
}

#endif
