/* SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
 *
 * An empty program on the same event: the floor that the scheduling source is compared with.
 */
__attribute__((section("tp_btf/sched_switch"), used)) int on_switch(unsigned long long *ctx)
{
    (void)ctx;
    return 0;
}

char LICENSE[] __attribute__((section("license"))) = "Dual MIT/GPL";
