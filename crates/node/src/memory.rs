//! How the process gives memory back.

/// Makes the system's allocator keep up to 16 MiB of freed memory, for a program's `main` to call once.
///
/// A muxer allocates and frees a frame of tens of KiB for every one that it moves. glibc returns memory to the
/// system as soon as 128 KiB at the end of its heap are free, so each frame's pages would fault in anew: measured at
/// a fifth of the CPU of a bulk transfer (docs/performance.md). The threshold is twice the size of the largest
/// mapped block that was freed (`mallopt(3)`, "dynamic mmap threshold"), which freeing one block of 8 MiB sets; its
/// pages are never touched. Other allocators are not changed by it.
pub fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(8 << 20)));
}
