//! Patterns for one name: `*` stands for any characters, `?` for one.

/// Whether `text` has a wildcard.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// What the first `*` of `pattern` stands for in `name`, as short as it can be; an empty text where
/// the pattern has none. `None` where the name does not match.
pub(super) fn first_star<'a>(pattern: &str, name: &'a str) -> Option<&'a str> {
    let Some((before, after)) = pattern.split_once('*') else {
        return matches(pattern, name).then_some("");
    };
    let mut rest = name.chars();
    for wanted in before.chars() {
        let there = rest.next()?;
        if wanted != '?' && wanted != there {
            return None;
        }
    }
    let rest = rest.as_str();
    rest.char_indices()
        .map(|(at, _)| at)
        .chain([rest.len()])
        .find(|at| matches(after, &rest[*at..]))
        .map(|at| &rest[..at])
}

/// Whether all of `name` fits `pattern`. Takes time in proportion to the product of both lengths at
/// worst, whatever stands in them.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut read) = (0, 0);
    // Where the last star stood, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while read < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == name[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((position, taken)) = star else {
                    return false;
                };
                star = Some((position, taken + 1));
                at = position + 1;
                read = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, star) in [
            ("card*", "card12", Some("12")),
            ("card*", "card", Some("")),
            ("card?", "card1", Some("")),
            ("card?", "card12", None),
            ("c*d*", "card12", Some("ar")),
            ("*_dma", "x_dma_dma", Some("x_dma")),
            ("tty2?", "tty20", Some("")),
            ("card", "card", Some("")),
            ("card", "cards", None),
            ("?*", "", None),
            ("é*", "éa", Some("a")),
        ] {
            assert_eq!(first_star(pattern, name), star, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_matches_itself_and_a_star(name in "[a-z0-9_é]{0,20}") {
            prop_assert_eq!(first_star(&name, &name), Some(""));
            prop_assert_eq!(first_star("*", &name), Some(name.as_str()));
        }

        #[test]
        fn what_a_star_stands_for_fits_in_its_place(pattern in "[ab*?]{0,8}", name in "[ab]{0,12}") {
            if let Some(star) = first_star(&pattern, &name) {
                prop_assert!(matches(&pattern.replacen('*', star, 1), &name));
            } else {
                prop_assert!(!matches(&pattern, &name));
            }
        }
    }
}
