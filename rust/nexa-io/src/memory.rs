//! How much memory this process may still take: what the machine has left, and the bounds of its control groups.

use std::fs;
use std::path::Path;

/// Return the bytes that may be taken before somebody has to give some up, `None` where the system doesn't say.
///
/// The page cache of files that can be dropped counts as free. On Linux the bounds of the control groups (version 2)
/// that this process is in count too.
#[must_use]
pub fn available_memory() -> Option<u64> {
    let machine = field(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?.checked_mul(1024)?;
    let group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| {
        let inside = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
        group_memory(Path::new("/sys/fs/cgroup"), inside)
    });
    Some(group.map_or(machine, |group| group.min(machine)))
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// Return what the tightest group from `inside` up to the root leaves.
fn group_memory(root: &Path, inside: &str) -> Option<u64> {
    let number = |folder: &Path, file: &str| -> Option<u64> {
        fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()
    };
    let folder = root.join(inside);
    folder
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .filter_map(|folder| {
            let bound = number(folder, "memory.max")?; // "max" is no number: no bound
            let taken = number(folder, "memory.current")?;
            let statistics = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
            let droppable = field(&statistics, "inactive_file ").unwrap_or(0);
            Some(bound.saturating_sub(taken.saturating_sub(droppable)))
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_some_left() {
        assert!(!cfg!(target_os = "linux") || available_memory().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn the_tightest_group_counts_and_what_it_can_drop_is_free() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        let write = |folder: &Path, max: &str, current: &str, stat: &str| {
            fs::write(folder.join("memory.max"), max).unwrap();
            fs::write(folder.join("memory.current"), current).unwrap();
            fs::write(folder.join("memory.stat"), stat).unwrap();
        };
        write(&inner, "max\n", "100\n", "");
        assert_eq!(group_memory(root.path(), "a/b"), None);
        write(&root.path().join("a"), "1000\n", "700\n", "anon 1\ninactive_file 200\nactive_file 3\n");
        assert_eq!(group_memory(root.path(), "a/b"), Some(500));
        write(&inner, "100\n", "300\n", "");
        assert_eq!(group_memory(root.path(), "a/b"), Some(0));
    }
}
