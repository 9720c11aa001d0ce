//! A person's home: the folder with their keys, pictures and grants, and where their cloud is.
//!
//! ```text
//! HOME/distri.toml   the nodes of the cloud, and where this person's peer listens
//! HOME/covers/       pictures in which others are hidden, if the person put some there
//! HOME/profile/      keys and all that is known, as `distri_services::images::person::Profile` keeps it
//! HOME/online        locked by the one program that is this person's peer
//! ```
//!
//! All of it is its owner's alone. Several programs use a home at a time, so a person who has `watch`
//! or `ui` running in one window answers requests in another; the profile is changed by one at a time.
//!
//! [`Home::person`] is for commands that end at once, [`Home::online`] for those that stay: others
//! fetch what was granted from them.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use distri::{
    Client, Config,
    cli::{Exit, Failure, Global},
    peer::Peer,
    transport::{Address, Endpoint},
};
use distri_services::images::{
    delivery::ImageDelivery,
    media::FILE_MAX,
    person::{Person, Profile, ProfileShelf},
};

/// Whose home is meant.
#[derive(Args, Clone, Debug, Default)]
pub struct HomeArgs {
    /// The person's folder [default: $STEGO_HOME, ~/.stego-cloud]
    #[arg(
        long,
        value_name = "FOLDER",
        env = "STEGO_HOME",
        hide_env = true,
        help_heading = "Person"
    )]
    pub home: Option<PathBuf>,
}

/// Where a person's programs listen for those who fetch what was granted.
#[derive(Args, Clone, Debug, Default)]
pub struct Listening {
    /// Where `watch` and `ui` listen for those who fetch [default: 127.0.0.1:0, this machine only]
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub listen: Option<Address>,
    /// The address that others dial [default: where it listens]
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub advertise: Option<Address>,
}

/// The folder of a person who has one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Home {
    folder: PathBuf,
    config: Config,
}

/// A person whose peer is there: what was granted can be fetched from it.
#[derive(Debug)]
pub struct Online {
    /// The person.
    pub person: Person,
    /// Their peer.
    pub peer: Peer,
    /// Another program of this home may be the peer when it is closed.
    _only: File,
}

/// The name of the folder in the user's own.
const FOLDER: &str = ".stego-cloud";

/// The folder of covers in a home.
const COVERS: &str = "covers";

/// Endings of files that are taken for pictures.
const PICTURES: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// The home's configuration.
const FILE: &str = "distri.toml";

/// How long a program that is to act at once waits for its cloud.
const REACH: Duration = Duration::from_secs(10);

impl HomeArgs {
    /// The folder.
    ///
    /// # Errors
    /// If none is named and the user has no folder.
    pub fn folder(&self) -> Result<PathBuf, Failure> {
        let named = self
            .home
            .clone()
            .filter(|path| !path.as_os_str().is_empty());
        named
            .or_else(|| Some(std::env::home_dir()?.join(FOLDER)))
            .ok_or_else(|| {
                Failure::usage("there is no folder for the person")
                    .with_remedy("name one with --home FOLDER or STEGO_HOME")
            })
    }
}

impl Home {
    /// Opens the home that `args` name, with logs as `global` says. The cloud is that of `--node`, of
    /// the `--config` that was given, or of the home.
    ///
    /// # Errors
    /// If nobody lives there, or the configuration cannot be used.
    pub fn open(args: &HomeArgs, global: &Global) -> Result<Self, Failure> {
        let folder = args.folder()?;
        if !is_inhabited(&folder) {
            let message = format!("nobody lives in `{}`", folder.display());
            return Err(Failure::usage(message).with_remedy(
                "`join TOKEN --as HANDLE` moves in; --home FOLDER or STEGO_HOME names another home",
            ));
        }
        Self::with(folder, global)
    }

    /// Makes a home in `folder`, of a cloud with these nodes; one that is there gets these nodes, and
    /// keeps its keys. Nothing is asked of the cloud.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn make(
        folder: PathBuf,
        nodes: &[Endpoint],
        listening: &Listening,
        global: &Global,
    ) -> Result<Self, Failure> {
        private_folder(&folder).map_err(|error| failed("make the folder", &folder, &error))?;
        let file = folder.join(FILE);
        let text = config_text(nodes, listening);
        write_private(&file, &text).map_err(|error| failed("write", &file, &error))?;
        Self::with(folder, global)
    }

    fn with(folder: PathBuf, global: &Global) -> Result<Self, Failure> {
        let mut global = global.clone();
        let own = folder.join(FILE);
        if global.config.is_none() && own.exists() {
            global.config = Some(own);
        }
        let config = global.load()?;
        global.start_log(&config)?;
        Ok(Self { folder, config })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The settings: of the cloud, and of the person's peer.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where the profile is.
    pub fn profile_folder(&self) -> PathBuf {
        profile_of(&self.folder)
    }

    /// The profile, shared with other programs of this home.
    ///
    /// # Errors
    /// If it cannot be used.
    pub async fn profile(&self) -> Result<Profile, Failure> {
        Ok(Profile::open_shared(self.profile_folder()).await?)
    }

    /// The person, in a cloud that answers.
    ///
    /// # Errors
    /// If no node can be reached.
    pub async fn person(&self) -> Result<Person, Failure> {
        let profile = self.profile().await?;
        let client = Client::builder()
            .identity(profile.device().clone())
            .nodes(self.nodes()?)
            .limits(self.config.limits.clone())
            .connect()
            .await?;
        Ok(Person::new(profile, client))
    }

    /// The person with a peer, from which others fetch what was granted. It starts also where the
    /// cloud cannot be reached, and is known to others as soon as it can.
    ///
    /// # Errors
    /// If another program of this home is the peer, or it cannot listen.
    pub async fn online(&self) -> Result<Online, Failure> {
        let Some(only) = self.only()? else {
            let message = format!("another program is online for `{}`", self.folder.display());
            return Err(Failure::new(Exit::Failed, message)
                .with_remedy("`watch` or `ui` runs in another window: one of them is enough"));
        };
        self.online_as(only).await
    }

    /// The person in a cloud that answers, with whatever it takes to reach other peers: over QUIC
    /// only a peer reaches them, over TCP any program.
    ///
    /// # Errors
    /// As [`Home::person`] and [`Home::online`].
    pub async fn reaching(&self) -> Result<(Person, Option<Online>), Failure> {
        let only = match self.config.peer.iroh {
            Some(_) => self.only()?,
            None => None,
        };
        let Some(only) = only else {
            return Ok((self.person().await?, None));
        };
        let online = self.online_as(only).await?;
        online.peer.client().wait_for_nodes(1, REACH).await?;
        Ok((online.person.clone(), Some(online)))
    }

    /// A picture from the folder `covers`, any of them; `None` if there is none. The files are not
    /// looked into.
    ///
    /// # Errors
    /// If the folder cannot be read, or the picture.
    pub fn cover(&self) -> Result<Option<Vec<u8>>, Failure> {
        let folder = self.folder.join(COVERS);
        let refused = |error| failed("read", &folder, &error);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(refused)?,
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(refused)?.path();
            let is_picture = path
                .extension()
                .and_then(|ending| ending.to_str())
                .is_some_and(|ending| PICTURES.contains(&ending.to_ascii_lowercase().as_str()));
            if is_picture && path.is_file() {
                paths.push(path);
            }
        }
        if paths.is_empty() {
            return Ok(None);
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| Failure::new(Exit::Failed, error))?;
        let place = u64::from_le_bytes(random) % paths.len() as u64;
        let path = paths.swap_remove(usize::try_from(place).unwrap_or(0));
        let cover = read_picture(&path).map_err(|error| failed("read", &path, &error))?;
        Ok(Some(cover))
    }

    async fn online_as(&self, only: File) -> Result<Online, Failure> {
        let profile = self.profile().await?;
        let mut config = self.config.clone();
        config.cloud.nodes = self.nodes()?;
        let peer = Peer::builder()
            .config(config)
            .identity(profile.device().clone())
            // The services of nodes are for nodes.
            .without_registry()
            .service(ImageDelivery::new(ProfileShelf::new(profile.clone())))
            .start()
            .await?;
        Ok(Online {
            person: Person::new(profile, peer.client().clone()),
            peer,
            _only: only,
        })
    }

    /// The right to be this home's peer; `None` if another program has it.
    fn only(&self) -> Result<Option<File>, Failure> {
        let path = self.folder.join("online");
        let file = open_private(&path).map_err(|error| failed("open", &path, &error))?;
        Ok(file.try_lock().is_ok().then_some(file))
    }

    fn nodes(&self) -> Result<Vec<Endpoint>, Failure> {
        if self.config.cloud.nodes.is_empty() {
            let message = format!("`{}` names no node of a cloud", self.folder.display());
            return Err(Failure::new(Exit::Unreachable, message).with_remedy(
                "`join` says where the cloud is; --node KEY@HOST:PORT does so for one command",
            ));
        }
        Ok(self.config.cloud.nodes.clone())
    }
}

impl Online {
    /// Says goodbye to the cloud, and finishes what others are fetching, for a while.
    pub async fn shutdown(self) {
        self.peer.shutdown().await;
    }
}

/// Refuses at once what the configuration would refuse when it is read again.
fn address(text: &str) -> Result<Address, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            Ok(Address::new(text))
        }
        _ => Err("expected HOST:PORT, such as 0.0.0.0:4700".to_owned()),
    }
}

/// True if somebody has moved into `folder`.
pub fn is_inhabited(folder: &Path) -> bool {
    profile_of(folder).join("user.key").exists()
}

fn profile_of(folder: &Path) -> PathBuf {
    folder.join("profile")
}

/// The configuration as a file.
fn config_text(nodes: &[Endpoint], listening: &Listening) -> String {
    // Texts of JSON are texts of TOML.
    let text = |value: &str| serde_json::Value::from(value).to_string();
    let list: String = nodes
        .iter()
        .map(|node| format!("    {},\n", text(&node.to_string())))
        .collect();
    let mut peer = String::new();
    if let Some(listen) = &listening.listen {
        peer.push_str(&format!("listen = {}\n", text(listen.as_str())));
    }
    if let Some(advertise) = &listening.advertise {
        peer.push_str(&format!("advertise = {}\n", text(advertise.as_str())));
    }
    format!(
        "# A person's home. `config show` prints every other setting with its default.\n\
         \n\
         [cloud]\n\
         # Where the cloud is: KEY@HOST:PORT.\n\
         nodes = [\n{list}]\n\
         \n\
         [peer]\n\
         # Where `watch` and `ui` listen for those who fetch what was granted. For other machines:\n\
         # listen = \"0.0.0.0:4700\", advertise = \"HOST:4700\", HOST being how they reach this one.\n\
         {peer}"
    )
}

/// The file, if it is no larger than a picture may be.
fn read_picture(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    let most = u64::try_from(FILE_MAX).unwrap_or(u64::MAX);
    io::Read::read_to_end(
        &mut io::Read::take(file, most.saturating_add(1)),
        &mut bytes,
    )?;
    if bytes.len() > FILE_MAX {
        let problem = format!("it has more than {FILE_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}

fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// The file `path`, made if there is none, for its owner alone.
fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Replaces the content of `path`: whoever reads it finds the old one or the new one.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("toml.new");
    let mut file = open_private(&beside)?;
    file.set_len(0)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

fn failed(verb: &str, path: &Path, error: &io::Error) -> Failure {
    let message = format!("could not {verb} `{}`: {error}", path.display());
    Failure::new(Exit::Failed, message)
}

#[cfg(test)]
mod tests {
    use distri::identity::Identity;

    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint {
            key: Identity::generate().public(),
            address: Address::new("127.0.0.1:4600"),
        }
    }

    #[tokio::test]
    async fn a_home_says_where_the_cloud_is_and_keeps_its_keys_when_it_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anna");
        let args = HomeArgs {
            home: Some(path.clone()),
        };
        let global = Global::default();
        assert_eq!(Home::open(&args, &global).unwrap_err().exit(), Exit::Usage);

        let (first, second) = (endpoint(), endpoint());
        let listening = Listening {
            listen: Some(Address::new("127.0.0.1:4701")),
            advertise: None,
        };
        let home = Home::make(
            path.clone(),
            std::slice::from_ref(&first),
            &listening,
            &global,
        );
        let key = home.unwrap().profile().await.unwrap().key();
        let home = Home::open(&args, &global).unwrap();
        assert_eq!(home.config().cloud.nodes, [first]);
        assert_eq!(home.config().peer.listen.as_str(), "127.0.0.1:4701");

        let nodes = [second.clone()];
        Home::make(path, &nodes, &Listening::default(), &global).unwrap();
        let home = Home::open(&args, &global).unwrap();
        assert_eq!(home.config().cloud.nodes, [second]);
        assert_eq!(home.profile().await.unwrap().key(), key);
    }

    #[test]
    fn a_cover_is_one_of_the_pictures_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let listening = Listening::default();
        let home = Home::make(path.clone(), &[endpoint()], &listening, &Global::default()).unwrap();
        assert_eq!(home.cover().unwrap(), None);

        let covers = path.join("covers");
        fs::create_dir(&covers).unwrap();
        fs::write(covers.join("notes.txt"), "no picture").unwrap();
        assert_eq!(home.cover().unwrap(), None);
        fs::write(covers.join("hill.PNG"), "a hill").unwrap();
        assert_eq!(home.cover().unwrap().as_deref(), Some(&b"a hill"[..]));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_home_is_its_owners_alone_and_has_one_peer() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anna");
        let home = Home::make(
            path.clone(),
            &[endpoint()],
            &Listening::default(),
            &Global::default(),
        );
        let home = home.unwrap();
        // No node answers at that address, and the peer starts all the same.
        let online = home.online().await.unwrap();
        assert_eq!(home.online().await.unwrap_err().exit(), Exit::Failed);
        online.shutdown().await;
        home.online().await.unwrap();

        let mode = |name: &str| fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!([mode(""), mode("profile")], [0o700, 0o700]);
        for name in [
            "distri.toml",
            "online",
            "profile/user.key",
            "profile/device.key",
        ] {
            assert_eq!(mode(name), 0o600, "{name}");
        }
    }
}
