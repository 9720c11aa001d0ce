//! Hosts of their own on this machine, and the wire between them, which delays, loses and cuts as a
//! trial says.
//!
//! Each host is a network namespace whose only way to the others is a VXLAN device. What is sent
//! there, the kernel hands as a datagram to a thread in the middle, which passes it on to the host
//! that it is for: late, or never. So delay and loss follow from a seed, one direction can be cut
//! without the other, and nothing is needed but `ip` and the right to make namespaces; `tc netem`,
//! which not every kernel has, is not. No address is outside these namespaces.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::File,
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsFd,
    process::Command,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::dice::Dice;

/// VXLAN's own port (RFC 7348).
const PORT: u16 = 4789;

/// Frames under way at most; a wire that is fuller loses them, as others do.
const UNDER_WAY_MAX: usize = 20_000;

/// How often the thread looks whether it is to end, while nothing comes.
const LOOK: Duration = Duration::from_millis(50);

/// Hosts that can reach each other, and nobody else, until this is dropped.
pub(crate) struct Hosts {
    namespaces: Vec<String>,
    rules: Arc<Mutex<Rules>>,
    stop: Arc<AtomicBool>,
    wire: Option<JoinHandle<()>>,
}

/// What happens between hosts.
struct Rules {
    dice: Dice,
    delay: Duration,
    /// Frames out of a hundred that are lost.
    loss: u64,
    /// From whom nothing gets to whom.
    cut: BTreeSet<(usize, usize)>,
}

impl Hosts {
    /// So many hosts, among which nothing is delayed or lost yet.
    ///
    /// # Errors
    /// Why this machine does not allow it.
    pub(crate) fn of(count: usize, seed: u64) -> Result<Self, String> {
        remove_what_others_left();
        let mut hosts = Self {
            namespaces: Vec::new(),
            rules: Arc::new(Mutex::new(Rules {
                dice: Dice::of(seed, 0x7769_7265),
                delay: Duration::ZERO,
                loss: 0,
                cut: BTreeSet::new(),
            })),
            stop: Arc::default(),
            wire: None,
        };
        // The middle first; what was made is removed again if the rest fails.
        let middle = hosts.add_namespace("wire")?;
        for host in 0..count {
            let name = hosts.add_namespace(&format!("host-{host}"))?;
            connect(&middle, &name, host)?;
        }
        let (ready, is_ready) = mpsc::channel();
        let (rules, stop) = (hosts.rules.clone(), hosts.stop.clone());
        hosts.wire = Some(std::thread::spawn(move || {
            let socket =
                enter(&middle).and_then(|()| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)));
            match socket {
                Ok(socket) => {
                    let _ = ready.send(Ok(()));
                    Wire::new(socket, count, rules).carry(&stop);
                }
                Err(error) => _ = ready.send(Err(format!("the wire cannot be laid: {error}"))),
            }
        }));
        is_ready.recv().map_err(|error| error.to_string())??;
        Ok(hosts)
    }

    /// Where a host is for the others.
    pub(crate) fn address(&self, host: usize) -> Ipv4Addr {
        address(host)
    }

    /// What has a command run on a host, put before it.
    pub(crate) fn within(&self, host: usize) -> [&str; 4] {
        ["ip", "netns", "exec", &self.namespaces[1 + host]]
    }

    /// A runtime whose threads, and thus the sockets that they open, are on a host.
    pub(crate) fn runtime(&self, host: usize) -> tokio::runtime::Runtime {
        let name = self.namespaces[1 + host].clone();
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .on_thread_start(move || enter(&name).expect("the namespace is there"))
            .enable_all()
            .build()
            .unwrap()
    }

    /// From now on every frame takes so long, and so many of a hundred are lost.
    pub(crate) fn worsen(&self, delay: Duration, loss: u64) {
        let mut rules = self.rules();
        rules.delay = delay;
        rules.loss = loss;
    }

    /// From now on nothing gets from these hosts to those.
    pub(crate) fn cut(&self, from: &[usize], to: &[usize]) {
        let pairs = from.iter().flat_map(|&a| to.iter().map(move |&b| (a, b)));
        self.rules().cut.extend(pairs);
    }

    /// Nothing is cut any more.
    pub(crate) fn heal(&self) {
        self.rules().cut.clear();
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add_namespace(&mut self, what: &str) -> Result<String, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let nr = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{nr}-{what}", std::process::id());
        ip(&["netns", "add", &name])?;
        self.namespaces.push(name.clone());
        ip(&["-n", &name, "link", "set", "lo", "up"])?;
        Ok(name)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(wire) = self.wire.take() {
            let _ = wire.join();
        }
        for name in &self.namespaces {
            // One that cannot be removed now is by the next run; see `remove_what_others_left`.
            let _ = ip(&["netns", "delete", name]);
        }
    }
}

/// With what the names of our namespaces begin; the id of the process that made them follows.
const PREFIX: &str = "distri-trial-";

/// Removes the namespaces of runs that were killed.
fn remove_what_others_left() {
    for name in ip(&["netns", "list"]).unwrap_or_default().lines() {
        let name = name.split_whitespace().next().unwrap_or_default();
        let process = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        if let Some(process) = process
            && !std::path::Path::new("/proc").join(process).exists()
        {
            let _ = ip(&["netns", "delete", name]);
        }
    }
}

/// Gives a host its device, with the thread in `middle` at its other end.
fn connect(middle: &str, host: &str, nr: usize) -> Result<(), String> {
    let port = format!("port{nr}");
    let near = format!("{}/24", under(nr, 1));
    let far = format!("{}/24", under(nr, 2));
    let remote = under(nr, 1).to_string();
    let own = format!("{}/24", address(nr));
    let own_port = PORT.to_string();
    for command in [
        &[
            "-n", middle, "link", "add", &port, "type", "veth", "peer", "name", "under0", "netns",
            host,
        ][..],
        &["-n", middle, "address", "add", &near, "dev", &port],
        &["-n", middle, "link", "set", &port, "up"],
        &["-n", host, "address", "add", &far, "dev", "under0"],
        &["-n", host, "link", "set", "under0", "up"],
        // The kernel leaves the checksums inside to the device, and there is none: it has to say in
        // the datagram where they are to be made at the other end (`remcsum`).
        &[
            "-n",
            host,
            "link",
            "add",
            "wire0",
            "type",
            "vxlan",
            "id",
            "1",
            "dev",
            "under0",
            "remote",
            &remote,
            "dstport",
            &own_port,
            "nolearning",
            "remcsumtx",
            "remcsumrx",
        ],
        &["-n", host, "address", "add", &own, "dev", "wire0"],
        &["-n", host, "link", "set", "wire0", "up"],
    ] {
        ip(command)?;
    }
    Ok(())
}

/// What hosts call each other by. These addresses are for tests of networks (RFC 2544).
fn address(host: usize) -> Ipv4Addr {
    Ipv4Addr::new(198, 19, 0, u8::try_from(1 + host).unwrap())
}

/// The ends of what lies under the wire.
fn under(host: usize, end: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, u8::try_from(host).unwrap(), end)
}

/// Moves this thread into a namespace, for good.
fn enter(namespace: &str) -> io::Result<()> {
    let file = File::open(format!("/var/run/netns/{namespace}"))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(())
}

fn ip(arguments: &[&str]) -> Result<String, String> {
    let run = Command::new("ip").args(arguments).output();
    let output = run.map_err(|error| format!("`ip` cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "`ip {}` failed: {}",
        arguments.join(" "),
        told.trim()
    ))
}

/// A hardware address.
type Mac = [u8; 6];

/// The thread in the middle.
struct Wire {
    socket: UdpSocket,
    hosts: usize,
    rules: Arc<Mutex<Rules>>,
    /// Behind which host a hardware address is.
    learned: BTreeMap<Mac, usize>,
    /// In the order in which they came, which is the order in which they are due.
    under_way: VecDeque<(Instant, usize, Vec<u8>)>,
}

impl Wire {
    fn new(socket: UdpSocket, hosts: usize, rules: Arc<Mutex<Rules>>) -> Self {
        Self {
            socket,
            hosts,
            rules,
            learned: BTreeMap::new(),
            under_way: VecDeque::new(),
        }
    }

    fn carry(mut self, stop: &AtomicBool) {
        let mut buffer = vec![0; 65_536];
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            let due = self.under_way.front().map(|(due, ..)| *due);
            let wait = due.map_or(LOOK, |due| due.saturating_duration_since(now).min(LOOK));
            // Zero would mean to wait for ever.
            let wait = wait.max(Duration::from_micros(100));
            self.socket.set_read_timeout(Some(wait)).unwrap();
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => self.take(&buffer[..length], from),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                // What the other end refused is lost.
                Err(_) => {}
            }
            self.deliver();
        }
    }

    fn take(&mut self, frame: &[u8], from: SocketAddr) {
        let IpAddr::V4(ip) = from.ip() else { return };
        let from = usize::from(ip.octets()[2]);
        let Some((to, by)) = macs(frame) else { return };
        self.learned.insert(by, from);
        let to: Vec<usize> = match self.learned.get(&to) {
            Some(&host) => vec![host],
            // For all, or for somebody not heard of yet.
            None => (0..self.hosts).filter(|&host| host != from).collect(),
        };
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let due = Instant::now() + rules.delay;
        for host in to {
            let loss = rules.loss;
            let is_lost = rules.cut.contains(&(from, host)) || rules.dice.percent(loss);
            if !is_lost && self.under_way.len() < UNDER_WAY_MAX {
                self.under_way.push_back((due, host, frame.to_vec()));
            }
        }
    }

    fn deliver(&mut self) {
        let now = Instant::now();
        while self.under_way.front().is_some_and(|(due, ..)| *due <= now) {
            let Some((_, host, frame)) = self.under_way.pop_front() else {
                return;
            };
            // What does not get through is lost, as on any wire.
            let _ = self.socket.send_to(&frame, (under(host, 2), PORT));
        }
    }
}

/// To whom and from whom a frame is, behind the eight bytes of VXLAN's head.
fn macs(frame: &[u8]) -> Option<(Mac, Mac)> {
    let to = frame.get(8..14)?.try_into().ok()?;
    let by = frame.get(14..20)?.try_into().ok()?;
    Some((to, by))
}
