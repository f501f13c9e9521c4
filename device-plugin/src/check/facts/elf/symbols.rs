//! The dynamic symbols of an ELF file that somebody cares for.

use super::{Dynamic, Ranges, Tables, tag};

/// The most symbols that are looked at: libraries of a gigabyte have some hundred thousands.
const MAX_SYMBOLS: u64 = 1 << 20;
/// The most that are listed.
const MAX_LISTED: usize = 4096;
/// Read at a time.
const BATCH: u64 = 1024;

pub(super) struct Symbols<'t, 'a, R: ?Sized> {
    pub(super) tables: &'t Tables<'a, R>,
}

impl<R: Ranges + ?Sized> Symbols<'_, '_, R> {
    /// Lists the symbols that `wanted` chooses; `None` where there is a table that cannot be read.
    pub(super) fn read(&self, wanted: &dyn Fn(&str) -> bool, found: &mut Dynamic) -> Option<()> {
        let tables = self.tables;
        if tables.entry(tag::SYMTAB).is_none() {
            return Some(());
        }
        let Some(count) = self.count() else {
            // Neither table of hashes: a file that exports nothing and imports by other means.
            let has_hash = [tag::HASH, tag::GNU_HASH]
                .iter()
                .any(|&tag| tables.entry(tag).is_some());
            return (!has_hash).then_some(());
        };
        let size = u64::try_from(tables.order.pick(24, 16)).ok()?;
        let start = tables.table(tag::SYMTAB)?;
        let count = count.min(MAX_SYMBOLS);
        let mut index = 0;
        while index < count {
            let batch = BATCH.min(count - index);
            let offset = start.checked_add(index.checked_mul(size)?)?;
            let length = usize::try_from(batch * size).ok()?;
            let bytes = tables.file.range(offset, length)?;
            for symbol in bytes.chunks_exact(usize::try_from(size).ok()?) {
                self.symbol(symbol, wanted, found)?;
            }
            index += batch;
        }
        Some(())
    }

    fn symbol(
        &self,
        symbol: &[u8],
        wanted: &dyn Fn(&str) -> bool,
        found: &mut Dynamic,
    ) -> Option<()> {
        let order = self.tables.order;
        let name = order.u32(symbol, 0)?;
        let section = order.u16(symbol, order.pick(6, 14))?;
        let info = *symbol.get(order.pick(4, 12))?;
        // STB_WEAK may stay without a definition.
        let weak = info >> 4 == 2;
        if name == 0 || (section == 0 && weak) {
            return Some(());
        }
        let name = self.tables.name(u64::from(name))?;
        let list = if section == 0 {
            &mut found.undefined
        } else {
            &mut found.exported
        };
        if wanted(&name) && list.len() < MAX_LISTED {
            list.push(name);
        }
        Some(())
    }

    /// How many symbols there are: the hash tables alone know.
    fn count(&self) -> Option<u64> {
        let tables = self.tables;
        if let Some(at) = tables.table(tag::HASH) {
            let bytes = tables.file.range(at, 8)?;
            return tables.order.u32(&bytes, 4).map(u64::from);
        }
        self.gnu_count(tables.table(tag::GNU_HASH)?)
    }

    /// The last chain of a GNU hash table ends with the last symbol.
    fn gnu_count(&self, at: u64) -> Option<u64> {
        let order = self.tables.order;
        let file = self.tables.file;
        let header = file.range(at, 16)?;
        let buckets = u64::from(order.u32(&header, 0)?);
        let first = u64::from(order.u32(&header, 4)?);
        let bloom = u64::from(order.u32(&header, 8)?);
        if buckets > MAX_SYMBOLS || bloom > MAX_SYMBOLS {
            return None;
        }
        let word = u64::try_from(order.pick(8, 4)).ok()?;
        let table = at.checked_add(16 + bloom * word)?;
        let bytes = file.range(table, usize::try_from(buckets * 4).ok()?)?;
        let last = bytes
            .chunks_exact(4)
            .filter_map(|bucket| order.u32(bucket, 0))
            .max()
            .map_or(0, u64::from);
        if last < first {
            // Nothing is exported; the symbols before are the undefined ones. GNU ld leaves `first`
            // at 1 then, and puts the string table right behind the symbols.
            return if first > 1 {
                Some(first)
            } else {
                self.distance()
            };
        }
        let chains = table.checked_add(buckets * 4)?;
        let mut index = last;
        while index < MAX_SYMBOLS {
            let at = chains.checked_add((index - first) * 4)?;
            let hash = order.u32(&file.range(at, 4)?, 0)?;
            index += 1;
            if hash & 1 != 0 {
                return Some(index);
            }
        }
        Some(MAX_SYMBOLS)
    }

    /// The symbols that fit between the table and the strings behind it.
    fn distance(&self) -> Option<u64> {
        let symbols = self.tables.entry(tag::SYMTAB)?;
        let strings = self.tables.entry(tag::STRTAB)?;
        let size = u64::try_from(self.tables.order.pick(24, 16)).ok()?;
        Some(strings.checked_sub(symbols)? / size)
    }
}
