/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * Addresses of the kernel's objects as numbers, to know one again by.
 */
#ifndef DUNNAGE_ADDRESS_H
#define DUNNAGE_ADDRESS_H

volatile const u64 origin = 0;

/* A number that stands for an address. The verifier allows no arithmetic on pointers into the kernel but
 * the difference of two. */
INLINE u64 number_of(const void *address)
{
    u64 number = (u64)address - (u64)&origin;
    APART(number);
    return number;
}

#endif
