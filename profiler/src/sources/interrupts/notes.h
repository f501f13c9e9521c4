/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * Whose packets are whose socket does not tell: IP takes the socket away from a packet that is passed
 * on, and a socket of the root cgroup may be a version 1 container's. So each packet between devices
 * of this host is noted while its owner is known.
 *
 * A note goes by the number of the packet's flow where the kernel gave it one: copies and parts of the
 * packet share it, and it never comes to name somebody else. Else it goes by the packet's address, which
 * will be another packet's. Such a note counts only for the packet whose last device (`skb_iif`) is the
 * one that the note was made at; or, where the packet is new to its device and has none, only if it was
 * sent since. A packet that comes from a real device ends the note that its address has.
 */
#ifndef DUNNAGE_INTERRUPTS_NOTES_H
#define DUNNAGE_INTERRUPTS_NOTES_H

/* `whose` of a note by address: the index, whether the packet was sent on, and the last device. */
#define NOTE_INDEX 0xffff
#define NOTE_SENT (1ULL << 31)
#define NOTE_DEVICE 32

struct device {
    struct device *parent;
} RELOCATED;

/* The same device and packet, with other fields of them. */
struct net_device___noted {
    int ifindex;
    struct device dev;
} RELOCATED;

struct sk_buff___noted {
    u32 hash;
} RELOCATED;

/* What a packet's note goes by; `flow` says whether that is its flow. */
INLINE u64 mark_of(struct sk_buff *packet, int *flow)
{
    u32 hash = ((struct sk_buff___noted *)packet)->hash;
    *flow = hash != 0;
    return hash ? hash : number_of(packet);
}

INLINE struct known *note_at(u64 mark)
{
    u32 at = mark >> 6 & (PACKETS - 1);
    return bpf_map_lookup_elem(&packets, &at);
}

INLINE int is_real(struct net_device *device)
{
    return ((struct net_device___noted *)device)->dev.parent != 0;
}

INLINE u64 index_of_device(struct net_device *device)
{
    return (u32)((struct net_device___noted *)device)->ifindex;
}

/* Notes that a packet which `device` receives, or which is sent (no device), is `owner`'s. */
INLINE void note(struct sk_buff *packet, struct net_device *device, u32 owner)
{
    int flow;
    u64 mark = mark_of(packet, &flow);
    struct known *known = note_at(mark);
    if (!known)
        return;
    u64 whose = owner;
    if (!flow)
        whose |= device ? index_of_device(device) << NOTE_DEVICE : NOTE_SENT;
    /* Packets of one flow leave the line as it is. */
    if (known->what != mark || known->whose != whose) {
        known->what = mark;
        known->whose = whose;
    }
}

/* The address of this packet has no note from now on. */
INLINE void end_note(struct sk_buff *packet)
{
    u64 number = number_of(packet);
    struct known *known = note_at(number);
    if (known && known->what == number)
        known->what = 0;
}

/* Whose a packet is that `device` receives without a socket, as was noted; else NOBODY. */
INLINE u32 noted_receiving(struct sk_buff *packet, struct net_device *device)
{
    int flow;
    u64 mark = mark_of(packet, &flow), last = (u32)packet->skb_iif;
    if (is_real(device)) {
        end_note(packet);
        return NOBODY;
    }
    struct known *known = note_at(mark);
    if (!known || known->what != mark)
        return NOBODY;
    u64 whose = known->whose;
    if (!flow) {
        if (last ? whose >> NOTE_DEVICE != last : !(whose & NOTE_SENT)) {
            known->what = 0;
            return NOBODY;
        }
        known->whose = (whose & NOTE_INDEX) | index_of_device(device) << NOTE_DEVICE;
    }
    return whose & NOTE_INDEX;
}

/* Whose a packet is that was received, lost its socket and is sent by `device`, as was noted; else
 * NOBODY. */
INLINE u32 noted_sending(struct sk_buff *packet, struct net_device *device)
{
    int flow;
    u64 mark = mark_of(packet, &flow);
    struct known *known = note_at(mark);
    if (!known || known->what != mark)
        return NOBODY;
    u64 whose = known->whose;
    if (!flow) {
        if (whose >> NOTE_DEVICE != (u32)packet->skb_iif)
            return NOBODY;
        if (!is_real(device))
            known->whose = whose | NOTE_SENT;
    }
    return whose & NOTE_INDEX;
}

#endif
