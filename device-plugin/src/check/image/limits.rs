//! What is taken from an image, and no more. Each figure is far above what real images have, and
//! low enough that a hostile one ends within the time and memory of an honest large one.

/// A manifest, index or configuration, in bytes. Registries take 4 MiB.
pub const DOCUMENT_BYTES: usize = 4 << 20;
/// All documents that are remembered while an archive streams by, in bytes.
pub(super) const DOCUMENTS_BYTES: usize = 16 << 20;
/// Layers of one image. overlayfs stacks at most 500 (`OVL_MAX_STACK`), Docker 125.
pub const LAYERS: usize = 1000;
/// Manifests in one index, and images in one archive.
pub const MANIFESTS: usize = 1000;
/// Environment variables, labels, annotations, arguments: of each.
pub const ENTRIES: usize = 10_000;
/// How deep an index may lie in another one.
pub const INDEX_DEPTH: usize = 4;
/// Paths of an image that are remembered: three to ten times what the largest images have. The
/// table for them takes 46 MiB, and 69 MiB while it grows for the last time.
pub const NAMES: usize = 1_800_000;
/// A path, in bytes: `PATH_MAX` of Linux, beyond which no engine can make the file.
pub const PATH_BYTES: usize = 4096;
/// The blobs of one archive.
pub(super) const ARCHIVE_BLOBS: usize = 20_000;
/// What comes out of all decompression of one image, in bytes.
pub const UNPACKED_BYTES: u64 = 256 << 30;
/// Up to here nobody asks how well it was compressed, in bytes.
pub const FREE_BYTES: u64 = 1 << 30;
/// Beyond [`FREE_BYTES`], how many bytes may come out for each that goes in, over the whole image.
/// Programs and models shrink to a half or a fifth, sparse logs to a hundredth; deflate can reach
/// 1032, and zstd has no bound.
pub const RATIO: u64 = 200;
/// The window of a zstd frame, in bytes: memory that the decoder holds. The best levels that image
/// builders use ask for 32 MiB; `--long=27` and `--ultra -22` would ask for 128.
pub const ZSTD_WINDOW: u64 = 32 << 20;
/// Pieces of one sparse file.
pub(super) const SPARSE_PIECES: usize = 16_384;
/// The size of a file with its holes, in bytes.
pub(super) const SPARSE_BYTES: u64 = 64 << 30;
/// The extended header of one entry, in bytes; Go's reader has the same limit.
pub(super) const PAX_BYTES: u64 = 1 << 20;
/// Reasons that are told; more are counted.
pub(super) const GAPS: usize = 32;
/// Directories that lie in each other in a root folder.
pub(super) const FOLDER_DEPTH: usize = 256;
/// Hard links whose first name an upper layer hides, of one image.
pub(super) const ORPHANS: usize = 2_000;
