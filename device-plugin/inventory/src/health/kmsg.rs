//! Records of `/dev/kmsg` (`Documentation/ABI/testing/dev-kmsg`):
//! `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS[,...];TEXT\n`, with lines of `KEY=VALUE` after it.
//!
//! Whoever may write to `/dev/kmsg`, which is root of the host, is believed as the kernel is: containers
//! have no such node.

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Counts up by one; a jump means that some were overwritten.
    pub sequence: u64,
    /// The message, without the lines of keys.
    pub text: &'a str,
}

/// Reads one record; `None` for what is none.
#[must_use]
pub fn parse(record: &[u8]) -> Option<Record<'_>> {
    let record = std::str::from_utf8(record).ok()?;
    let (head, text) = record.split_once(';')?;
    let mut fields = head.split(',');
    let _priority: u32 = fields.next()?.parse().ok()?;
    let sequence = fields.next()?.parse().ok()?;
    let text = text.split('\n').next()?;
    Some(Record { sequence, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn records_are_read_without_their_keys() {
        let record = b"3,1234,5678901,-;NVRM: Xid (PCI:0000:65:00): 79, GPU has fallen off the bus.\n SUBSYSTEM=pci\n";
        assert_eq!(
            parse(record),
            Some(Record {
                sequence: 1234,
                text: "NVRM: Xid (PCI:0000:65:00): 79, GPU has fallen off the bus."
            })
        );
        // Facility 1: root of the host wrote it by `echo ... > /dev/kmsg`.
        assert_eq!(
            parse(b"12,1235,5678902,-;NVRM: Xid (PCI:0000:65:00): 79\n"),
            Some(Record {
                sequence: 1235,
                text: "NVRM: Xid (PCI:0000:65:00): 79"
            })
        );
        for none in [
            &b""[..],
            b";",
            b"x,1,2,-;a",
            b"3;a",
            b"3,x,2,-;a",
            b"\xff,1;a",
        ] {
            assert_eq!(parse(none), None);
        }
    }

    proptest! {
        #[test]
        fn no_record_breaks_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }
    }
}
