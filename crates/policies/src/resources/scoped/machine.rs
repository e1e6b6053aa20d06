//! What the machine has: the memory and the open files that limits are derived from.

use std::{fs, path::Path};

/// What a process may use of its machine; `None` for what is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Memory in bytes: of the machine, or of the control group where that has less.
    pub memory: Option<u64>,
    /// Files that the process may have open; `u64::MAX` if it may have any number.
    pub open_files: Option<u64>,
}

impl Machine {
    /// This machine, read from `/proc`, `/sys/fs/cgroup` and the limits of the process.
    #[must_use]
    pub fn here() -> Self {
        let open_files = rlimit::Resource::NOFILE.get_soft().ok();
        Self { memory: memory(Path::new("/")), open_files }
    }
}

/// The least of what the files below `root` say.
fn memory(root: &Path) -> Option<u64> {
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let machine = read("proc/meminfo").and_then(|text| meminfo(&text));
    let groups = read("proc/self/cgroup").unwrap_or_default();
    let files = groups.lines().flat_map(limit_files);
    // A group that sets no limit says `max`, or a number beyond all memory.
    let groups = files.filter_map(|file| read(&file)?.trim().parse().ok());
    machine.into_iter().chain(groups).min()
}

fn meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1_024)
}

/// The files that may limit the memory of a group, given a line of `/proc/self/cgroup`: those of the group and of
/// all groups that it lies in.
fn limit_files(line: &str) -> Vec<String> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { return Vec::new() };
    let (base, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        _ if controllers.split(',').any(|name| name == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let ancestors = Path::new(group).ancestors().filter_map(Path::to_str);
    ancestors.map(|group| format!("{base}/{}/{file}", group.trim_matches('/'))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_group_and_those_around_it() {
        assert_eq!(
            limit_files("0::/user/skep"),
            [
                "sys/fs/cgroup/user/skep/memory.max",
                "sys/fs/cgroup/user/memory.max",
                "sys/fs/cgroup//memory.max"
            ]
        );
        assert_eq!(limit_files("4:memory:/"), ["sys/fs/cgroup/memory//memory.limit_in_bytes"]);
        assert_eq!(limit_files("3:cpu,cpuacct:/"), [""; 0]);
        assert_eq!(limit_files("junk"), [""; 0]);
    }

    #[test]
    fn the_least_counts() {
        let root = std::env::temp_dir().join(format!("skep-machine-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(memory(&root), None);
        write("proc/meminfo", "MemTotal:       16384 kB\nMemFree: 1 kB\n");
        write("proc/self/cgroup", "4:memory:/pod/node\n0::/\n");
        write("sys/fs/cgroup/memory.max", "max\n");
        assert_eq!(memory(&root), Some(16 << 20));
        write("sys/fs/cgroup/memory/pod/node/memory.limit_in_bytes", "9223372036854771712\n");
        write("sys/fs/cgroup/memory/pod/memory.limit_in_bytes", "8388608\n");
        assert_eq!(memory(&root), Some(8 << 20));
        fs::remove_dir_all(&root).unwrap();
    }
}
