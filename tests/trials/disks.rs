//! Disks of real nodes that are full, or that cannot be written.

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
    process::Command,
};

use crate::{
    cloud::{Cloud, DISTRI, NAMES, State},
    support::{cluster::Member, eventually},
};

/// Room for a node, until something else fills it.
const SIZE: &str = "size=24m";

/// A folder in which there is only so much room, until this is dropped.
struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Lays a small disk over the folder of a node.
    ///
    /// # Errors
    /// Why this machine does not allow it.
    fn over(member: &Member) -> Result<Self, String> {
        let folder = member.program.folder.path().to_owned();
        let place = folder.to_str().unwrap();
        run("mount", &["-t", "tmpfs", "-o", SIZE, "distri-trial", place])?;
        Ok(Self { folder })
    }

    /// Takes all room that there is.
    fn fill(&self) {
        let mut ballast = File::create(self.ballast()).unwrap();
        let mut bytes = vec![0; 1 << 20];
        while !bytes.is_empty() {
            if ballast.write_all(&bytes).is_err() {
                bytes.truncate(bytes.len() / 2);
            }
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }

    /// From now on it can only be read, or written again.
    fn remount(&self, how: &str) {
        let place = self.folder.to_str().unwrap();
        run("mount", &["-o", &format!("remount,{how}"), place]).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let place = self.folder.to_str().unwrap();
        // Lazily: a node that a failed check left running still uses it.
        let _ = run("umount", &["-l", place]);
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let run = Command::new(program).args(arguments).output();
    let output = run.map_err(|error| format!("`{program}` cannot be run: {error}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    let failed = || {
        format!(
            "`{program} {}` failed: {}",
            arguments.join(" "),
            told.trim()
        )
    };
    output.status.success().then_some(()).ok_or_else(failed)
}

#[test]
fn a_node_whose_disk_fills_up_steps_aside_and_is_back_when_there_is_room() {
    let members: Vec<Member> = NAMES[..3]
        .iter()
        .map(|name| Member::new(DISTRI, name))
        .collect();
    // The founder leads: the worst one to lose.
    let disk = match SmallDisk::over(&members[0]) {
        Ok(disk) => disk,
        Err(why) => return println!("skipped: this machine has no small disk: {why}"),
    };
    let mut cloud = Cloud::from(members);
    cloud.create("books");
    let mut shelf = Shelf::default();
    shelf.put(&cloud.members[1]);

    disk.fill();
    // What its log has taken of the disk beforehand is soon used up.
    eventually("another node leads", || {
        shelf.put(&cloud.members[1]);
        let nodes = cloud.members[1].nodes();
        let leader = nodes.iter().find(|node| node["role"] == "leader")?;
        (leader["name"] != NAMES[0]).then_some(())
    });
    // Whoever asks it is told the truth all the same, by the others.
    shelf.must_be_whole(&cloud.members[0]);
    shelf.put(&cloud.members[0]);

    disk.make_room();
    let told = restart(&mut cloud, 0);
    assert!(
        told.contains("No space left on device"),
        "its log says why: {told}"
    );
    cloud.members[0].eventually_roles(&["leader", "voter", "voter"]);
    shelf.put(&cloud.members[0]);
    shelf.must_be_whole(&cloud.members[0]);

    read_only(&mut cloud, &disk, &mut shelf);
}

/// The same node is started on a disk that cannot be written.
fn read_only(cloud: &mut Cloud, disk: &SmallDisk, shelf: &mut Shelf) {
    cloud.stop(0);
    disk.remount("ro");

    let refused = cloud.members[0].program.try_start(&["node"]);

    let Err(told) = refused else {
        panic!("a node that cannot write anything must not start");
    };
    assert!(told.contains("Read-only file system"), "{told}");
    assert!(told.contains("data"), "it names the folder: {told}");
    shelf.put(&cloud.members[1]);
    shelf.must_be_whole(&cloud.members[2]);

    disk.remount("rw");
    cloud.recover(0);
    assert_eq!(cloud.those(State::Up).len(), 3);
    cloud.members[0].eventually_roles(&["leader", "voter", "voter"]);
    shelf.must_be_whole(&cloud.members[0]);
}

/// Stops a node and starts it again; gives what it said before.
fn restart(cloud: &mut Cloud, place: usize) -> String {
    let told = cloud.members[place].stop_and_tell();
    cloud.members[place].start();
    told
}

/// Documents that were acknowledged.
#[derive(Default)]
struct Shelf {
    books: usize,
}

impl Shelf {
    /// Adds a document of half a mebibyte.
    #[track_caller]
    fn put(&mut self, by: &Member) {
        let text = format!("\"{}\"", "a".repeat(512 << 10));
        let id = format!("book-{}", self.books);
        let put = ["directory", "put", "books", &id, "-", "--insert"];
        let done = by.program.run_with(&put, text.as_bytes());
        assert_eq!(done.exit, 0, "{id}: {}", done.stderr);
        self.books += 1;
    }

    /// Every document is there, once.
    #[track_caller]
    fn must_be_whole(&self, by: &Member) {
        let count = by.program.ok(&["directory", "find", "books", "--count"]);
        assert_eq!(count, self.books.to_string());
    }
}
