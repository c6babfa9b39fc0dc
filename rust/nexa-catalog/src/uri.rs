//! Where a catalog's `uri` leads, decided in one place, since a uri is a stranger's text that becomes a path.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::Code;

/// Most bytes of one component of a name (`NAME_MAX` of every common file system).
const MAX_COMPONENT_BYTES: usize = 255;
/// Most bytes of a path (`PATH_MAX` without its closing zero).
const MAX_PATH_BYTES: usize = 4095;

/// Where a shard lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// Under the catalog's folder.
    Inside {
        /// The normalised name relative to the folder: no `.`, no `..`, no doubled `/`.
        name: String,
        /// The folder joined with the name.
        path: PathBuf,
    },
    /// At an absolute path, which a catalog may only have where it is read in place.
    Absolute {
        /// The path, normalised as a name is.
        path: PathBuf,
    },
}

impl Location {
    /// Give the path to open.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Inside { path, .. } | Self::Absolute { path } => path,
        }
    }
}

/// Why a `uri` is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriProblem {
    /// Its scheme is not read.
    #[error("the scheme {scheme:?} is not read, only relative paths, absolute paths and file://")]
    UnknownScheme {
        /// The scheme, without `://`.
        scheme: String,
    },
    /// It leads where a catalog's uri should not, or nowhere.
    #[error("the uri {detail}")]
    Unsafe {
        /// What is wrong with it, as the end of a sentence.
        detail: String,
    },
    /// No file can have its name.
    #[error("the uri {detail}")]
    TooLong {
        /// What is too long, as the end of a sentence.
        detail: String,
    },
}

impl UriProblem {
    /// Give the finding's code.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::UnknownScheme { .. } => Code::UnknownScheme,
            Self::Unsafe { .. } => Code::UnsafeUri,
            Self::TooLong { .. } => Code::NameTooLong,
        }
    }

    pub(crate) const fn remedy(&self) -> &'static str {
        match self {
            Self::UnknownScheme { .. } => "copy the shard to a local disk and name it by a path",
            Self::Unsafe { .. } => "name the shard by a path relative to the catalog's folder, without ..",
            Self::TooLong { .. } => "name the shard by a shorter path",
        }
    }
}

fn refuse<T>(detail: impl Into<String>) -> Result<T, UriProblem> {
    Err(UriProblem::Unsafe { detail: detail.into() })
}

/// Say where a `uri` leads.
///
/// # Args
///
/// - `uri`: a relative path, an absolute path or a `file://` URL (percent-decoded; its host empty or localhost).
/// - `root`: the catalog's folder.
///
/// # Errors
///
/// [`UriProblem::UnknownScheme`] for other schemes; [`UriProblem::Unsafe`] for a uri that leaves `root` through
/// `..`, names a folder, is empty or holds control characters; [`UriProblem::TooLong`] for one that no file can have.
pub fn locate(uri: &str, root: &Path) -> Result<Location, UriProblem> {
    match normalised(uri)? {
        Name::Relative { name, .. } => {
            Ok(Location::Inside { path: root.join(&*name), name: name.into_owned() })
        }
        Name::Absolute(path) => Ok(Location::Absolute { path: path.into() }),
    }
}

/// Give the relative name under which a shard is staged.
///
/// # Errors
///
/// As [`locate`], and [`UriProblem::Unsafe`] for absolute uris and for any `..`: after staging, nothing is where
/// they were relative to.
///
/// ```
/// assert_eq!(nexa_catalog::staged_name("./shards//a.arrow").as_deref(), Ok("shards/a.arrow"));
/// assert!(nexa_catalog::staged_name("/etc/passwd").is_err());
/// ```
pub fn staged_name(uri: &str) -> Result<String, UriProblem> {
    match normalised(uri)? {
        Name::Relative { climbs: true, .. } => refuse("climbs with .., which cannot be staged"),
        Name::Relative { name, .. } => Ok(name.into_owned()),
        Name::Absolute(_) => refuse("is absolute, which cannot be staged"),
    }
}

/// Give what two uris share if they lead to one shard.
pub(crate) fn identity(uri: &str) -> Result<Cow<'_, str>, UriProblem> {
    Ok(match normalised(uri)? {
        Name::Relative { name, .. } => name,
        Name::Absolute(path) => path.into(),
    })
}

/// The same by the rules alone, for the naive twin of [`parse`](crate::parse).
pub(crate) fn identity_by_rules(uri: &str) -> Result<String, UriProblem> {
    Ok(match normalised_by_rules(uri)? {
        Name::Relative { name, .. } => name.into_owned(),
        Name::Absolute(path) => path,
    })
}

enum Name<'a> {
    /// `climbs`: the uri has `..`, though it stays inside.
    Relative {
        name: Cow<'a, str>,
        climbs: bool,
    },
    Absolute(String),
}

fn normalised(uri: &str) -> Result<Name<'_>, UriProblem> {
    if is_normal(uri) {
        return Ok(Name::Relative { name: Cow::Borrowed(uri), climbs: false });
    }
    normalised_by_rules(uri)
}

/// Say whether a uri is its own name by a look at its bytes, as those of most catalogs are: ASCII, without a scheme,
/// and with no component that is empty or begins with a dot. What it does not recognise may still be sound.
///
/// Eight bytes at a time in one register: below 128, a byte plus less than 128 carries into no other.
pub(crate) fn is_normal(uri: &str) -> bool {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = 0x80 * EACH;
    /// The high bit of each byte that is `wanted`.
    fn equal(word: u64, wanted: u8) -> u64 {
        !((word ^ (u64::from(wanted) * EACH)) + 0x7f * EACH) & HIGH
    }
    let whole = uri.as_bytes().chunks_exact(8);
    let rest = whole
        .remainder()
        .iter()
        .rfold(u64::from_ne_bytes([b'a'; 8]), |word, byte| (word << 8) | u64::from(*byte));
    let words = whole.map(|eight| eight.try_into().map_or(HIGH, u64::from_le_bytes));
    // A name starts as a component does: behind a slash.
    let mut slash_before = 0x80;
    for word in words.chain([rest]) {
        if word & HIGH != 0 {
            return false;
        }
        let control = !(word + (0x80 - 0x20) * EACH) & HIGH | equal(word, 0x7f);
        let slashes = equal(word, b'/');
        let behind_slash = (slashes << 8) | slash_before;
        if control | equal(word, b':') | (behind_slash & (slashes | equal(word, b'.'))) != 0 {
            return false;
        }
        slash_before = slashes >> 56;
    }
    !uri.is_empty() && !uri.ends_with('/') && uri.len() <= MAX_COMPONENT_BYTES
}

fn normalised_by_rules(uri: &str) -> Result<Name<'_>, UriProblem> {
    let decoded;
    let path = match scheme(uri) {
        None => uri,
        Some(scheme) if scheme.eq_ignore_ascii_case("file") => {
            decoded = file_url_path(&uri[scheme.len() + 1..])?;
            decoded.as_str()
        }
        Some(scheme) => return Err(UriProblem::UnknownScheme { scheme: scheme.to_ascii_lowercase() }),
    };
    if path.is_empty() {
        return refuse("is empty");
    }
    if let Some(control) = path.chars().find(|c| c.is_control()) {
        return refuse(format!("holds the control character {control:?}"));
    }
    if matches!(path.rsplit('/').next(), Some("" | "." | "..")) {
        return refuse("names a folder");
    }
    let (name, climbs) = fold(path)?;
    if let Some(detail) = excess_length(&name) {
        return Err(UriProblem::TooLong { detail });
    }
    Ok(if path.starts_with('/') {
        Name::Absolute(format!("/{name}"))
    } else {
        Name::Relative { name: name.into(), climbs }
    })
}

fn excess_length(name: &str) -> Option<String> {
    let longest = name.split('/').map(str::len).max().unwrap_or_default();
    if longest > MAX_COMPONENT_BYTES {
        return Some(format!(
            "has a name of {longest} bytes, and a file's has at most {MAX_COMPONENT_BYTES}"
        ));
    }
    (name.len() > MAX_PATH_BYTES)
        .then(|| format!("has {} bytes, and a path has at most {MAX_PATH_BYTES}", name.len()))
}

/// Give the scheme of `scheme://…` or `file:/…`. A colon alone is an ordinary character of a file name.
fn scheme(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once(':')?;
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let slashes = rest.starts_with("//") || (scheme.eq_ignore_ascii_case("file") && rest.starts_with('/'));
    (named && slashes).then_some(scheme)
}

/// Take the path out of what follows `file:` (RFC 8089).
fn file_url_path(rest: &str) -> Result<String, UriProblem> {
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(authority) => {
            let (host, _) = authority.split_once('/').unwrap_or((authority, ""));
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return refuse(format!("names the host {host:?}; a file:// uri has three slashes"));
            }
            &authority[host.len()..]
        }
    };
    if let Some(mark) = path.chars().find(|c| matches!(c, '?' | '#')) {
        return refuse(format!("has a bare {mark:?}, which in a file:// uri is written percent-encoded"));
    }
    percent_decoded(path)
}

fn percent_decoded(path: &str) -> Result<String, UriProblem> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut parts = path.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let hex = part.get(..2).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) else {
            return refuse("has a % that two hexadecimal digits do not follow");
        };
        bytes.push(byte);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).or_else(|_| refuse("is not UTF-8 once decoded"))
}

/// Fold `.`, `..` and doubled slashes, as text: links are looked at when the shard is.
fn fold(path: &str) -> Result<(String, bool), UriProblem> {
    let mut kept: Vec<&str> = Vec::new();
    let mut climbs = false;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                climbs = true;
                if kept.pop().is_none() {
                    return refuse("leaves the catalog's folder through ..");
                }
            }
            part => kept.push(part),
        }
    }
    Ok((kept.join("/"), climbs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_uri_that_looks_normal_is_by_the_rules(uri in "[a./:%é\u{1}\u{7f} z-]{0,20}") {
            if is_normal(&uri) {
                let rules = normalised_by_rules(&uri);
                let same = matches!(rules, Ok(Name::Relative { name, climbs: false }) if name == uri);
                prop_assert!(same);
            }
        }
    }

    #[test]
    fn most_names_look_normal() {
        for uri in ["a", "shards/a.arrow", "abcdefg/h", "abcdefgh/i", "a..b/c-d e.x", "12345678"] {
            assert!(is_normal(uri), "{uri}");
        }
        for uri in
            ["", "/a", "a/", "abcdefgh/", "abcdefg/.h", "abcdefgh//i", "./a", "a:b", "é", "a\u{7f}", "a\tb"]
        {
            assert!(!is_normal(uri), "{uri}");
        }
    }
}
