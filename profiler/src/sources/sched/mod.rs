//! Run-queue waits and who ran meanwhile, accounted in the kernel at scheduling events.
