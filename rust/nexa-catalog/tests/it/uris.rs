//! Where a uri leads, case by case.

use std::path::Path;

use nexa_catalog::{Location, UriProblem, locate, staged_name};

fn inside(name: &str) -> Location {
    Location::Inside { name: name.to_owned(), path: Path::new("/data").join(name) }
}

fn absolute(path: &str) -> Location {
    Location::Absolute { path: path.into() }
}

#[test]
fn uris_lead_where_they_say() {
    for (uri, location) in [
        ("a.arrow", inside("a.arrow")),
        ("./shards//a.arrow", inside("shards/a.arrow")),
        ("x/../a.arrow", inside("a.arrow")),
        ("100%.arrow", inside("100%.arrow")),
        ("a%20b", inside("a%20b")),
        ("a:b\\c?d#e", inside("a:b\\c?d#e")),
        ("C:\\a", inside("C:\\a")),
        ("file", inside("file")),
        ("..a/b..", inside("..a/b..")),
        ("été/ä.arrow", inside("été/ä.arrow")),
        ("/mnt//a/./b", absolute("/mnt/a/b")),
        ("file:///mnt/a%20b.arrow", absolute("/mnt/a b.arrow")),
        ("file://localhost/mnt/a", absolute("/mnt/a")),
        ("FILE:/mnt/a", absolute("/mnt/a")),
    ] {
        assert_eq!(locate(uri, Path::new("/data")), Ok(location), "{uri}");
    }
}

#[test]
fn uris_that_lead_astray_are_refused_with_the_reason() {
    for (uri, reason) in [
        ("", "is empty"),
        ("..", "names a folder"),
        ("../a", "leaves the catalog's folder"),
        ("a/../../b", "leaves the catalog's folder"),
        ("/../a", "leaves the catalog's folder"),
        ("a/", "names a folder"),
        ("a/.", "names a folder"),
        ("/", "names a folder"),
        ("a\0b", "control character"),
        ("a\nb", "control character"),
        ("a\u{9b}b", "control character"),
        ("file://host/a", "names the host \"host\""),
        ("file:///a%00b", "control character"),
        ("file:///a%2", "two hexadecimal digits"),
        ("file:///a%+1", "two hexadecimal digits"),
        ("file:///a%é1", "two hexadecimal digits"),
        ("file:///a%ff", "not UTF-8"),
        ("file:///a?b", "bare '?'"),
        ("file://", "is empty"),
    ] {
        let problem = locate(uri, Path::new("/data")).unwrap_err();
        assert!(
            matches!(problem, UriProblem::Unsafe { .. }) && problem.to_string().contains(reason),
            "{uri}: {problem}"
        );
    }
}

#[test]
fn other_schemes_are_named() {
    for (uri, name) in [("s3://b/a", "s3"), ("HTTPS://h/a", "https"), ("az+x://a", "az+x")] {
        let expected = UriProblem::UnknownScheme { scheme: name.to_owned() };
        assert_eq!(locate(uri, Path::new("/data")), Err(expected), "{uri}");
    }
}

#[test]
fn only_relative_uris_without_climbing_are_staged() {
    assert_eq!(staged_name("./a//b.arrow"), Ok("a/b.arrow".to_owned()));
    for uri in ["/a", "file:///a", "x/../a", "../a", "a/", "", "s3://b/a"] {
        assert!(staged_name(uri).is_err(), "{uri}");
    }
}
