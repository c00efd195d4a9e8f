//! File systems of a test's own, where the machine allows it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A mounted file system; unmounted when dropped.
pub struct Disk {
    folder: TempDir,
}

/// Whether the command was there and did it.
pub fn does(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

/// Makes an ext4 file system in a file.
pub fn format(image: &Path) -> bool {
    File::create(image).unwrap().set_len(48 << 20).unwrap();
    let image = image.to_str().unwrap();
    does("mkfs.ext4", &["-q", image]) || does("/usr/sbin/mkfs.ext4", &["-q", image])
}

impl Disk {
    /// In memory, with these options.
    pub fn in_memory(options: &str) -> Option<Disk> {
        Disk::mount(&["-t", "tmpfs", "-o", options, "kyc-test"])
    }

    /// What [`format()`] made. The system writes nothing of its own accord for minutes.
    pub fn of(image: &Path) -> Option<Disk> {
        let options = "loop,commit=300,errors=remount-ro";
        Disk::mount(&["-o", options, image.to_str().unwrap()])
    }

    fn mount(arguments: &[&str]) -> Option<Disk> {
        let folder = tempfile::tempdir().unwrap();
        let mut arguments = arguments.to_vec();
        arguments.push(folder.path().to_str().unwrap());
        // Made before, so that it is dropped only where there is something to unmount.
        does("mount", &arguments).then(|| Disk { folder })
    }

    /// Whether the options could be changed to these.
    pub fn remount(&self, options: &str) -> bool {
        let options = format!("remount,{options}");
        does(
            "mount",
            &["-o", &options, self.folder.path().to_str().unwrap()],
        )
    }

    /// A path on it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let point = self.folder.path().to_str().unwrap();
        // Lazily where a test fails with its service still on it.
        if !does("umount", &[point]) {
            does("umount", &["--lazy", point]);
        }
    }
}
