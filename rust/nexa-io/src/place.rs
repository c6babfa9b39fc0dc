//! Where bytes lie and under which name: filesystem kinds, durable folders, and the renames that publish a result.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, StatFs, renameat_with};
use rustix::io::Errno;

use crate::error::IoError;

/// Swap two names of one filesystem in a single step: at no moment is either missing.
///
/// The caller syncs the folders afterwards, see [`sync_dir`].
///
/// # Errors
/// [`IoError::RenameUnsupported`] where kernel or filesystem cannot (some network and FUSE ones), else
/// [`IoError::Rename`].
pub fn exchange(a: impl AsRef<Path>, b: impl AsRef<Path>) -> Result<(), IoError> {
    rename_with(a.as_ref(), b.as_ref(), RenameFlags::EXCHANGE, "an atomic exchange")
}

/// Rename, unless something has the new name.
///
/// # Errors
/// [`IoError::Rename`], of the kind `AlreadyExists` where `to` is there; [`IoError::RenameUnsupported`] where kernel or
/// filesystem cannot promise that nothing is replaced.
pub fn rename_noreplace(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), IoError> {
    rename_with(from.as_ref(), to.as_ref(), RenameFlags::NOREPLACE, "a rename without replacing")
}

fn rename_with(from: &Path, to: &Path, how: RenameFlags, operation: &'static str) -> Result<(), IoError> {
    let Err(error) = renameat_with(CWD, from, CWD, to, how) else { return Ok(()) };
    let (from, to, source) = (from.to_owned(), to.to_owned(), io::Error::from(error));
    // EINVAL also means "a folder into itself", which is the caller's mistake and not the filesystem's.
    let inside = to.starts_with(&from) || from.starts_with(&to);
    let unsupported = matches!(error, Errno::NOSYS | Errno::NOTSUP) || (error == Errno::INVAL && !inside);
    Err(if unsupported {
        IoError::RenameUnsupported { operation, from, to, source }
    } else {
        IoError::Rename { from, to, source }
    })
}

/// Make a folder's entries durable: files created in it, renamed into it or removed from it.
///
/// # Errors
/// [`IoError::Open`] or [`IoError::Sync`].
pub fn sync_dir(path: impl AsRef<Path>) -> Result<(), IoError> {
    sync(path.as_ref())
}

/// Make a file's content and metadata durable, not its name: that is its folder's, see [`sync_dir`].
///
/// # Errors
/// [`IoError::Open`] or [`IoError::Sync`].
pub fn sync_file(path: impl AsRef<Path>) -> Result<(), IoError> {
    sync(path.as_ref())
}

fn sync(path: &Path) -> Result<(), IoError> {
    let file = File::open(path).map_err(|source| IoError::Open { path: path.to_owned(), source })?;
    match file.sync_all() {
        // Some network filesystems cannot sync a folder at all; their renames are as durable as they get.
        Err(source) if path.is_dir() && source.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
        Err(source) => Err(IoError::Sync { path: path.to_owned(), source }),
        Ok(()) => Ok(()),
    }
}

/// Return the name of the filesystem that a path lies on: `ext4`, `tmpfs`, `nfs`, …
///
/// `ext4` stands for ext2 and ext3 too: they share a number. Unknown ones are their number in hexadecimal, `0x1234`.
///
/// # Errors
/// [`IoError::Inspect`] where the path is not there or not reachable.
pub fn fs_type_name(path: impl AsRef<Path>) -> Result<String, IoError> {
    let path = path.as_ref();
    rustix::fs::statfs(path)
        .map(|facts| kind_name(&facts))
        .map_err(|error| IoError::Inspect { path: path.to_owned(), source: error.into() })
}

/// Say whether another machine or a user process may answer for the files of this path's filesystem.
///
/// Such files are not mapped (a file truncated elsewhere is a SIGBUS here), and locks on them are not to be trusted.
///
/// # Errors
/// As [`fs_type_name`].
pub fn is_network(path: impl AsRef<Path>) -> Result<bool, IoError> {
    fs_type_name(path).map(|name| is_network_kind(&name))
}

pub(crate) fn is_network_file(file: &File, path: &Path) -> Result<bool, IoError> {
    rustix::fs::fstatfs(file)
        .map(|facts| is_network_kind(&kind_name(&facts)))
        .map_err(|error| IoError::Inspect { path: path.to_owned(), source: error.into() })
}

fn is_network_kind(name: &str) -> bool {
    const NETWORK: [&str; 18] = [
        "nfs", "smb", "smb2", "cifs", "lustre", "gpfs", "fuse", "ceph", "9p", "afs", "coda", "ocfs2", "gfs2",
        "beegfs", "smbfs", "afpfs", "webdav", "macfuse",
    ];
    NETWORK.contains(&name)
}

/// Names by number, from Linux's `magic.h` and, for Lustre, GPFS, SMB2 and `BeeGFS`, from GNU coreutils' `stat.c`.
#[cfg(target_os = "linux")]
const KINDS: [(u32, &str); 29] = [
    (0xEF53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683E, "btrfs"),
    (0x2FC1_2FC1, "zfs"),
    (0xF2F5_2010, "f2fs"),
    (0xCA45_1A4E, "bcachefs"),
    (0x0102_1994, "tmpfs"),
    (0x8584_58F6, "ramfs"),
    (0x794C_7630, "overlay"),
    (0x7371_7368, "squashfs"),
    (0xE0F5_E1E2, "erofs"),
    (0x4D44, "vfat"),
    (0x2011_BAB0, "exfat"),
    (0x9FA0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x6969, "nfs"),
    (0x517B, "smb"),
    (0xFE53_4D42, "smb2"),
    (0xFF53_4D42, "cifs"),
    (0x0BD0_0BD0, "lustre"),
    (0x4750_4653, "gpfs"),
    (0x6573_5546, "fuse"),
    (0x00C3_6400, "ceph"),
    (0x0102_1997, "9p"),
    (0x5346_414F, "afs"),
    (0x7375_7245, "coda"),
    (0x7461_636F, "ocfs2"),
    (0x0116_1970, "gfs2"),
    (0x1983_0326, "beegfs"),
];

#[cfg(target_os = "linux")]
fn kind_name(facts: &StatFs) -> String {
    // The field's width and sign differ between architectures; every number has 32 bits.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "magic numbers have 32 bits")]
    let magic = facts.f_type as u32;
    match KINDS.iter().find(|(number, _)| *number == magic) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("{magic:#x}"),
    }
}

#[cfg(not(target_os = "linux"))]
fn kind_name(facts: &StatFs) -> String {
    facts.f_fstypename.iter().take_while(|&&c| c != 0).map(|&c| char::from(c.cast_unsigned())).collect()
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
