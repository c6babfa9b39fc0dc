//! Claims about names: what an exchange, a careful rename and a filesystem's name promise.

use std::fs;

use tempfile::tempdir;

use super::*;

#[test]
fn an_exchange_swaps_folders_with_their_content() {
    let root = tempdir().unwrap();
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    fs::create_dir(&a).unwrap();
    fs::create_dir(&b).unwrap();
    fs::write(a.join("old"), "1").unwrap();
    match exchange(&a, &b) {
        Ok(()) => assert!(b.join("old").exists() && !a.join("old").exists()),
        Err(error) => assert!(matches!(error, IoError::RenameUnsupported { .. }), "{error}"),
    }
    sync_dir(root.path()).unwrap();
}

#[test]
fn an_exchange_with_nothing_is_an_error_and_changes_nothing() {
    let root = tempdir().unwrap();
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    fs::write(&a, "1").unwrap();
    let error = exchange(&a, &b).unwrap_err();
    assert_eq!(error.path(), Some(a.as_path()));
    assert!(a.exists() && !b.exists());
}

#[test]
fn an_exchange_of_a_folder_with_its_own_content_is_the_callers_mistake() {
    let root = tempdir().unwrap();
    let inside = root.path().join("inside");
    fs::create_dir(&inside).unwrap();
    assert!(matches!(exchange(root.path(), &inside), Err(IoError::Rename { .. })));
}

#[test]
fn a_careful_rename_replaces_nothing() {
    let root = tempdir().unwrap();
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    fs::write(&a, "new").unwrap();
    fs::write(&b, "old").unwrap();
    match rename_noreplace(&a, &b).unwrap_err() {
        IoError::Rename { source, .. } => assert_eq!(source.kind(), io::ErrorKind::AlreadyExists),
        error => assert!(matches!(error, IoError::RenameUnsupported { .. }), "{error}"),
    }
    assert_eq!(fs::read_to_string(&b).unwrap(), "old");
    fs::remove_file(&b).unwrap();
    rename_noreplace(&a, &b).unwrap();
    assert_eq!(fs::read_to_string(&b).unwrap(), "new");
    sync_file(&b).unwrap();
}

#[test]
fn a_missing_path_is_an_error_with_its_name() {
    for error in [
        sync_dir("/nonexistent/nexa").unwrap_err(),
        sync_file("/nonexistent/nexa").unwrap_err(),
        fs_type_name("/nonexistent/nexa").unwrap_err(),
        is_network("/nonexistent/nexa").unwrap_err(),
    ] {
        assert_eq!(error.path(), Some(Path::new("/nonexistent/nexa")));
        assert_eq!(error.errno(), Some(Errno::NOENT.raw_os_error()));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn known_filesystems_have_their_names() {
    assert_eq!(fs_type_name("/proc").unwrap(), "proc");
    assert!(!is_network("/proc").unwrap());
}

#[cfg(target_os = "linux")]
#[test]
fn every_network_kind_on_the_list_is_known_by_number() {
    let numbers = KINDS.iter().map(|(number, _)| number).collect::<std::collections::HashSet<_>>();
    assert_eq!(numbers.len(), KINDS.len(), "a number stands twice");
    for name in ["nfs", "smb2", "cifs", "lustre", "gpfs", "fuse", "ceph", "9p", "beegfs"] {
        assert!(KINDS.iter().any(|(_, known)| *known == name) && is_network_kind(name), "{name}");
    }
    for name in ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "0x1234"] {
        assert!(!is_network_kind(name), "{name}");
    }
}
