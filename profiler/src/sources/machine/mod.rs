//! The whole machine: `/proc/stat`, `/proc/meminfo`, `/proc/diskstats`, `/proc/pressure`.
