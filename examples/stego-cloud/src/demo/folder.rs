//! The folder of the demonstration: pictures for people to look at, and below `story` the cloud and the
//! two people, from which `ui --story` starts all of them again.
//!
//! What an earlier demonstration left there is replaced; what somebody else did is not touched.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use distri::cli::{Exit, Failure};

use crate::files;

/// What only this program writes, as the first line of a file: only then the rest is removed.
const MARK: &str = "the story of Alice and Bob, by example-stego-cloud\n";

/// The folder of a demonstration, in use by this program.
pub(crate) struct Folder {
    root: PathBuf,
    /// Unlocked when it is closed.
    _lock: File,
}

impl Folder {
    /// Makes room in `root` for a new story.
    ///
    /// # Errors
    /// If `root` cannot be made or written to; if its `story` is in use, or is somebody else's.
    pub(crate) fn make(root: &Path) -> Result<Self, Failure> {
        files::make_folder(root)?;
        let story = root.join("story");
        match fs::create_dir(&story) {
            Ok(()) => {
                let mut mark = lock(&story, OpenOptions::new().create_new(true))?;
                mark.write_all(MARK.as_bytes())
                    .map_err(|error| failed("write to", &story, &error))?;
                Ok(Self::of(root, mark))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let theirs = || {
                    let message = format!("`{}` is not of a demonstration", story.display());
                    Failure::new(Exit::Failed, message)
                        .with_remedy("name another folder with --out")
                };
                let folder = Self::find(root)?.ok_or_else(theirs)?;
                for part in ["cloud", "alice", "bob"] {
                    let path = story.join(part);
                    match fs::remove_dir_all(&path) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => {
                            return Err(failed("replace", &path, &error));
                        }
                        Ok(()) | Err(_) => {}
                    }
                }
                Ok(folder)
            }
            Err(error) => Err(failed("make the folder", &story, &error)),
        }
    }

    /// Opens the story that was left in `root`.
    ///
    /// # Errors
    /// If there is none, or another program tells it.
    pub(crate) fn open(root: &Path) -> Result<Self, Failure> {
        Self::find(root)?.ok_or_else(|| {
            let message = format!("there is no story in `{}`", root.display());
            Failure::new(Exit::Usage, message).with_remedy(
                "the demonstration, this program without a command, leaves one in the folder of --out",
            )
        })
    }

    fn find(root: &Path) -> Result<Option<Self>, Failure> {
        let story = root.join("story");
        if !story.join("mark").is_file() {
            return Ok(None);
        }
        let mut mark = lock(&story, &mut OpenOptions::new())?;
        let mut text = String::new();
        (&mut mark)
            .take(MARK.len() as u64 + 1)
            .read_to_string(&mut text)
            .map_err(|error| failed("read", &story, &error))?;
        // One that was ended before it was written is ours too.
        Ok(MARK.starts_with(&text).then(|| Self::of(root, mark)))
    }

    fn of(root: &Path, lock: File) -> Self {
        Self {
            root: root.to_owned(),
            _lock: lock,
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The nodes.
    pub(crate) fn cloud(&self) -> PathBuf {
        self.root.join("story/cloud")
    }

    /// The home of somebody.
    pub(crate) fn home(&self, handle: &str) -> PathBuf {
        self.root.join("story").join(handle)
    }

    /// Leaves a picture to look at.
    pub(crate) fn leave(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        files::write(&self.root.join(name), bytes)
    }
}

fn lock(story: &Path, how: &mut OpenOptions) -> Result<File, Failure> {
    let path = story.join("mark");
    let mark = how.read(true).write(true).open(&path);
    let mark = mark.map_err(|error| failed("open", &path, &error))?;
    if mark.try_lock().is_err() {
        let message = format!("another program uses the story in `{}`", story.display());
        return Err(Failure::new(Exit::Failed, message));
    }
    Ok(mark)
}

fn failed(verb: &str, path: &Path, error: &io::Error) -> Failure {
    let message = format!("could not {verb} `{}`: {error}", path.display());
    Failure::new(Exit::Failed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_story_replaces_the_former_one_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let of_somebody = root.path().join("alice");
        fs::create_dir(&of_somebody).unwrap();
        for _ in 0..2 {
            let folder = Folder::make(root.path()).unwrap();
            assert!(!folder.home("alice").exists());
            fs::create_dir_all(folder.home("alice").join("profile")).unwrap();
        }
        assert!(Folder::open(root.path()).unwrap().home("alice").exists());
        assert!(of_somebody.exists());
    }

    #[test]
    fn a_folder_that_is_somebody_elses_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let theirs = root.path().join("story/cloud/poem.txt");
        fs::create_dir_all(theirs.parent().unwrap()).unwrap();
        fs::write(&theirs, "roses").unwrap();

        for mark in [None, Some("my own mark")] {
            if let Some(mark) = mark {
                fs::write(root.path().join("story/mark"), mark).unwrap();
            }
            assert!(Folder::make(root.path()).is_err());
            assert!(Folder::open(root.path()).is_err());
        }

        assert!(theirs.exists());
    }

    #[test]
    fn a_story_is_told_by_one_program_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::make(root.path()).unwrap();

        assert!(Folder::open(root.path()).is_err());
        assert!(Folder::make(root.path()).is_err());

        drop(folder);
        Folder::open(root.path()).unwrap();
    }
}
