//! Names that match a pattern with stars.

/// Whether a name matches a pattern in which `*` stands for any letters: its first part begins the name, its last part ends it, and each
/// other is looked for behind the one before, where it comes first.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let inside = name.strip_prefix(first).and_then(|name| name.strip_suffix(last));
    let mut parts = middle.split('*').filter(|part| !part.is_empty());
    inside.is_some_and(|inside| {
        parts.try_fold(inside, |rest, part| Some(&rest[rest.find(part)? + part.len()..])).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("features.*", "features.conv1.weight", true),
            ("features.*", "head.weight", false),
            ("*.bias", "features.conv1.bias", true),
            ("*.bias", "bias", false),
            ("*conv*bias", "features.conv1.bias", true),
            ("*", "anything", true),
            ("dense1.weight", "dense1.weight", true),
            ("dense1", "dense1.weight", false),
            ("a*a", "a", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("**b**", "abc", true),
            ("*ö*", "größe", true),
            ("a*bab", "abab", true),
            (&format!("{}b", "*a".repeat(5_000)), &"a".repeat(10_000), false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
