//! How much memory this process may still take: what the machine has left, and the bounds of its control groups.

use std::fs;
use std::path::Path;

/// Return the bytes that may be taken before somebody has to give some up, `None` where the system doesn't say.
///
/// The page cache of files that can be dropped counts as free. On Linux the bounds of the control groups (of both
/// versions) that this process is in count too.
#[must_use]
pub fn available_memory() -> Option<u64> {
    let machine = field(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?.checked_mul(1024)?;
    let group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|groups| {
        let both = [(&V2, "0::/"), (&V1, ":memory:/")];
        both.into_iter().filter_map(|(version, mark)| version.left(&groups, mark)).min()
    });
    Some(group.map_or(machine, |group| group.min(machine)))
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// Where a version of control groups says what of memory may be taken, is taken, and can be dropped.
struct Version {
    root: &'static str,
    bound: &'static str,
    taken: &'static str,
    droppable: &'static str,
}

const V2: Version = Version {
    root: "/sys/fs/cgroup",
    bound: "memory.max",
    taken: "memory.current",
    droppable: "inactive_file ",
};
const V1: Version = Version {
    root: "/sys/fs/cgroup/memory",
    bound: "memory.limit_in_bytes",
    taken: "memory.usage_in_bytes",
    droppable: "total_inactive_file ",
};

impl Version {
    /// Return what the group leaves that stands behind `mark` in `groups`, the lines of `/proc/self/cgroup`.
    fn left(&self, groups: &str, mark: &str) -> Option<u64> {
        let inside = groups.lines().find_map(|line| Some(line.split_once(mark)?.1))?;
        self.group_memory(Path::new(self.root), inside)
    }

    /// Return what the tightest group from `inside` up to the root leaves.
    fn group_memory(&self, root: &Path, inside: &str) -> Option<u64> {
        let number = |folder: &Path, file: &str| -> Option<u64> {
            fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()
        };
        let folder = root.join(inside);
        folder
            .ancestors()
            .take_while(|folder| folder.starts_with(root))
            .filter_map(|folder| {
                let bound = number(folder, self.bound)?; // "max" is no number: no bound
                let taken = number(folder, self.taken)?;
                let statistics = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
                let droppable = field(&statistics, self.droppable).unwrap_or(0);
                Some(bound.saturating_sub(taken.saturating_sub(droppable)))
            })
            .min()
    }
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
        let group_memory = |root: &Path, inside: &str| V2.group_memory(root, inside);
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
    #[test]
    fn the_first_version_says_it_in_other_files() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a");
        fs::create_dir_all(&inner).unwrap();
        let write = |file: &str, text: &str| fs::write(inner.join(file), text).unwrap();
        write("memory.limit_in_bytes", "1000\n");
        write("memory.usage_in_bytes", "700\n");
        write("memory.stat", "inactive_file 1\ntotal_inactive_file 200\n");
        assert_eq!(V1.group_memory(root.path(), "a"), Some(500));
        let groups = "5:cpu:/x\n4:memory:/a\n0::/\n";
        let elsewhere = Version { root: "/nowhere", ..V1 };
        assert_eq!(elsewhere.left(groups, ":memory:/"), None);
        assert_eq!(elsewhere.left("0::/\n", ":memory:/"), None);
    }
}
