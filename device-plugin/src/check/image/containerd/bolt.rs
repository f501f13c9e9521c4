//! Bolt databases, read only: pages of a B+ tree, after go.etcd.io/bbolt's `page.go` and `bucket.go`.
//!
//! Numbers are in the byte order of the machine that wrote them; this reads little-endian ones, which
//! all machines that matter write.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
/// Bytes of a page's header, and of an element.
const HEADER: usize = 16;
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
/// An element's flag: its value is a bucket.
const IS_BUCKET: u32 = 0x01;
/// How high a tree may be: real ones have three or four floors.
const HEIGHT: usize = 16;
/// A page with what overflows from it, in bytes.
const PAGE_BYTES: u64 = 16 << 20;

/// An open database.
pub(super) struct Bolt {
    file: File,
    page_size: u64,
    root: u64,
}

/// A bucket: a tree of its own, or, if small, a page within the value.
#[derive(Clone, Debug)]
pub(super) enum Bucket {
    Tree(u64),
    Inline(Vec<u8>),
}

/// An element of a leaf.
struct Element<'a> {
    is_bucket: bool,
    key: &'a [u8],
    value: &'a [u8],
}

impl Bolt {
    /// # Errors
    /// `InvalidData` where neither meta page is whole.
    pub(super) fn open(file: File) -> io::Result<Bolt> {
        let mut first = [0; HEADER + 64];
        file.read_exact_at(&mut first, 0)?;
        // The second one lies a page further; if the first is torn, the usual size is tried.
        let size = meta(&first).map_or(4096, |meta| meta.page_size);
        let mut second = [0; HEADER + 64];
        file.read_exact_at(&mut second, size)?;
        let newest = [meta(&first), meta(&second)].into_iter().flatten();
        let newest = newest.max_by_key(|meta| meta.transaction);
        let newest = newest.ok_or_else(|| broken("no whole meta page"))?;
        Ok(Bolt {
            file,
            page_size: newest.page_size,
            root: newest.root,
        })
    }

    /// The bucket of all buckets.
    pub(super) fn root(&self) -> Bucket {
        Bucket::Tree(self.root)
    }

    /// The bucket of this name in `bucket`.
    pub(super) fn bucket(&self, bucket: &Bucket, key: &[u8]) -> io::Result<Option<Bucket>> {
        let Some((true, value)) = self.get(bucket, key)? else {
            return Ok(None);
        };
        let root = u64_at(&value, 0).ok_or_else(|| broken("a bucket without a root"))?;
        if root != 0 {
            return Ok(Some(Bucket::Tree(root)));
        }
        let inline = value.get(HEADER..).unwrap_or_default();
        Ok(Some(Bucket::Inline(inline.to_vec())))
    }

    /// The value of this name in `bucket`.
    pub(super) fn value(&self, bucket: &Bucket, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let found = self.get(bucket, key)?;
        Ok(found.and_then(|(is_bucket, value)| (!is_bucket).then_some(value)))
    }

    /// The names in a bucket, at most `limit`.
    pub(super) fn keys(&self, bucket: &Bucket, limit: usize) -> io::Result<Vec<Vec<u8>>> {
        let mut keys = Vec::new();
        let mut pages = vec![(bucket.clone(), 0)];
        // Trees may share pages or run in circles; the height and the number of pages end that.
        let mut left = limit;
        while let Some((bucket, height)) = pages.pop() {
            left = left
                .checked_sub(1)
                .ok_or_else(|| broken("too many pages"))?;
            let page = self.page(&bucket)?;
            for at in 0..count(&page)? {
                if keys.len() >= limit || pages.len() >= limit {
                    return Ok(keys);
                }
                if is_leaf(&page)? {
                    keys.push(leaf(&page, at)?.key.to_vec());
                } else if height < HEIGHT {
                    pages.push((Bucket::Tree(branch(&page, at)?.1), height + 1));
                }
            }
        }
        Ok(keys)
    }

    fn get(&self, bucket: &Bucket, key: &[u8]) -> io::Result<Option<(bool, Vec<u8>)>> {
        let mut page = self.page(bucket)?;
        for _ in 0..HEIGHT {
            if is_leaf(&page)? {
                for at in 0..count(&page)? {
                    let element = leaf(&page, at)?;
                    if element.key == key {
                        return Ok(Some((element.is_bucket, element.value.to_vec())));
                    }
                }
                return Ok(None);
            }
            let mut next = None;
            for at in 0..count(&page)? {
                let (first, child) = branch(&page, at)?;
                if next.is_none() || first <= key {
                    next = Some(child);
                }
            }
            let next = next.ok_or_else(|| broken("a branch without children"))?;
            page = self.page(&Bucket::Tree(next))?;
        }
        Err(broken("a tree that is too high"))
    }

    fn page(&self, bucket: &Bucket) -> io::Result<Vec<u8>> {
        let id = match bucket {
            Bucket::Inline(page) => return Ok(page.clone()),
            Bucket::Tree(id) => *id,
        };
        let place = (id.checked_mul(self.page_size)).ok_or_else(|| broken("a page of no place"))?;
        let mut header = [0; HEADER];
        self.file.read_exact_at(&mut header, place).map_err(torn)?;
        let overflow = u32_at(&header, 12).unwrap_or(0);
        let length = (u64::from(overflow) + 1).saturating_mul(self.page_size);
        if u64_at(&header, 0) != Some(id) || length > PAGE_BYTES {
            return Err(broken("a page that is another one"));
        }
        let mut page = vec![0; usize::try_from(length).map_err(|_| broken("a page too long"))?];
        self.file.read_exact_at(&mut page, place).map_err(torn)?;
        Ok(page)
    }
}

struct Meta {
    page_size: u64,
    root: u64,
    transaction: u64,
}

/// A meta page, where its checksum is right.
fn meta(page: &[u8]) -> Option<Meta> {
    let meta = page.get(HEADER..HEADER + 64)?;
    let page_size = u64::from(u32_at(meta, 8)?);
    let sound = u32_at(meta, 0)? == MAGIC
        && u32_at(meta, 4)? == VERSION
        && u64_at(meta, 56)? == fnv(&meta[..56])
        && page_size.is_power_of_two()
        && (512..=65536).contains(&page_size);
    sound.then_some(Meta {
        page_size,
        root: u64_at(meta, 16)?,
        transaction: u64_at(meta, 48)?,
    })
}

/// FNV-1a of 64 bits.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn is_leaf(page: &[u8]) -> io::Result<bool> {
    match u16_at(page, 8) {
        Some(LEAF) => Ok(true),
        Some(BRANCH) => Ok(false),
        _ => Err(broken("neither a branch nor a leaf")),
    }
}

fn count(page: &[u8]) -> io::Result<usize> {
    let count = u16_at(page, 10).ok_or_else(|| broken("a page without a header"))?;
    Ok(usize::from(count))
}

fn leaf(page: &[u8], at: usize) -> io::Result<Element<'_>> {
    let start = HEADER + at * HEADER;
    let field = |offset| size_at(page, start + offset);
    let element = || -> Option<Element<'_>> {
        let key = start.checked_add(field(4)?)?;
        let value = key.checked_add(field(8)?)?;
        let end = value.checked_add(field(12)?)?;
        Some(Element {
            is_bucket: u32_at(page, start)? & IS_BUCKET != 0,
            key: page.get(key..value)?,
            value: page.get(value..end)?,
        })
    };
    element().ok_or_else(|| broken("an element that leads out of its page"))
}

/// The first key of a child, and its page.
fn branch(page: &[u8], at: usize) -> io::Result<(&[u8], u64)> {
    let start = HEADER + at * HEADER;
    let element = || -> Option<(&[u8], u64)> {
        let key = start.checked_add(size_at(page, start)?)?;
        let end = key.checked_add(size_at(page, start + 4)?)?;
        Some((page.get(key..end)?, u64_at(page, start + 8)?))
    };
    element().ok_or_else(|| broken("a child that leads out of its page"))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*field))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*field))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*field))
}

fn size_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32_at(bytes, at)?).ok()
}

fn torn(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => broken("a page behind the end"),
        _ => error,
    }
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("bolt database: {why}"))
}
