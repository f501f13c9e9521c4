//! Decimal numbers and keyed lines in kernel files, over bytes: no UTF-8 check, no allocation.

/// The lines of a kernel file without their ends, empty ones left out.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
}

/// The words of a line.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
}

/// `word` as an unsigned decimal number; `None` for anything else, also for more than 64 bits.
pub(crate) fn decimal(word: &[u8]) -> Option<u64> {
    let mut value: u64 = 0;
    if word.is_empty() {
        return None;
    }
    for &byte in word {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(value)
}

/// The number that a file with one number holds.
pub(crate) fn single(text: &[u8]) -> Option<u64> {
    decimal(text.trim_ascii())
}

/// `key value` lines as pairs; lines of another form are left out.
pub(crate) fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    lines(text).filter_map(|line| {
        let space = line.iter().position(|&byte| byte == b' ')?;
        let (key, value) = line.split_at(space);
        Some((key, decimal(value.trim_ascii())?))
    })
}

/// `8:0` as major and minor number.
pub(crate) fn device(word: &[u8]) -> Option<(u32, u32)> {
    let colon = word.iter().position(|&byte| byte == b':')?;
    let major = decimal(word.get(..colon)?)?;
    let minor = decimal(word.get(colon + 1..)?)?;
    Some((u32::try_from(major).ok()?, u32::try_from(minor).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_plain_decimals_are_numbers() {
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for word in [
            "",
            "-1",
            "+1",
            "1.5",
            "0x10",
            "18446744073709551616",
            "max",
            " 1",
        ] {
            assert_eq!(decimal(word.as_bytes()), None, "{word:?}");
        }
        assert_eq!(single(b"12\n"), Some(12));
        assert_eq!(device(b"254:16"), Some((254, 16)));
        assert_eq!(device(b"254"), None);
    }

    proptest! {
        #[test]
        fn every_number_comes_back(value: u64) {
            prop_assert_eq!(decimal(value.to_string().as_bytes()), Some(value));
        }

        #[test]
        fn arbitrary_bytes_never_panic(text: Vec<u8>) {
            let _ = (single(&text), device(&text), pairs(&text).count());
            for line in lines(&text) {
                let _ = words(line).count();
            }
        }
    }
}
