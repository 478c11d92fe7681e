//! Which layers a setting is for: `*`, `op:Conv`, `name:layer4.*`.
use crate::error::{Error, Result};

/// A parsed scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope<'a> {
    /// `*`: every layer.
    All,
    /// `op:Conv`: the operator type, by its exact name.
    Operator(&'a str),
    /// `name:layer4.*`: a node's whole name, where `*` stands for any text and `?` for any one character.
    Name(&'a str),
}

impl<'a> Scope<'a> {
    /// Parses a scope.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the text.
    pub(super) fn parse(text: &'a str) -> Result<Self> {
        if text == "*" {
            return Ok(Scope::All);
        }
        match text.split_once(':') {
            Some(("op", operator)) if !operator.is_empty() => Ok(Scope::Operator(operator)),
            Some(("name", pattern)) if !pattern.is_empty() => Ok(Scope::Name(pattern)),
            _ => Err(Error::InvalidArgument(format!("scope {text:?} is none of \"*\", \"op:<operator>\", \"name:<pattern>\""))),
        }
    }

    /// It is `*`.
    pub(crate) fn is_all(self) -> bool {
        self == Scope::All
    }

    /// The scope holds for that node.
    pub(crate) fn matches(self, operator: &str, name: &str) -> bool {
        match self {
            Scope::All => true,
            Scope::Operator(wanted) => wanted == operator,
            Scope::Name(pattern) => glob_matches(pattern, name),
        }
    }

    /// 0, 1 or 2: of settings that match a node the higher ones win.
    pub(super) fn precedence(self) -> u8 {
        match self {
            Scope::All => 0,
            Scope::Operator(_) => 1,
            Scope::Name(_) => 2,
        }
    }
}

impl std::fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scope::All => f.write_str("*"),
            Scope::Operator(operator) => write!(f, "op:{operator}"),
            Scope::Name(pattern) => write!(f, "name:{pattern}"),
        }
    }
}

/// `*` stands for any text, `?` for any one character, anything else for itself. At most `pattern * text` steps.
fn glob_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stood, and how much text it has been given.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, given)) = star else { return false };
                star = Some((at, given + 1));
                (p, t) = (at + 1, given + 1);
            }
        }
    }
    pattern[p..].iter().all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        for (pattern, text) in [
            ("*", ""),
            ("layer4.*", "layer4.0.conv1"),
            ("l?yer", "läyer"),
            ("*a*b*", "xxaxxaxb"),
            ("a*a", "aa"),
            ("conv", "conv"),
            ("**x", "x"),
            ("[1]", "[1]"),
        ] {
            assert!(glob_matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("layer4.*", "layer40"), ("?", ""), ("a*a", "a"), ("conv", "conv1"), ("conv1", "conv"), ("*b", "abc"), ("", "x")]
        {
            assert!(!glob_matches(pattern, text), "{pattern} {text}");
        }
        let (many, long) = ("*a".repeat(50), "a".repeat(2000) + "b");
        assert!(!glob_matches(&many, &long));
    }

    #[test]
    fn scopes_are_parsed_and_others_named() {
        assert_eq!(Scope::parse("*").unwrap(), Scope::All);
        assert_eq!(Scope::parse("op:Conv").unwrap(), Scope::Operator("Conv"));
        assert_eq!(Scope::parse("name:a:b").unwrap(), Scope::Name("a:b"));
        for bad in ["", "Conv", "op:", "name:", "layer:x", "**"] {
            assert!(Scope::parse(bad).is_err_and(|error| error.to_string().contains(&format!("{bad:?}"))));
        }
        assert!(Scope::Operator("Conv").matches("Conv", "x") && !Scope::Operator("Conv").matches("ConvTranspose", "Conv"));
    }
}
