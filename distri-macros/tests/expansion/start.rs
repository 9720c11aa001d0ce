//! How nodes come by an instance, and let it go.

use std::sync::atomic::{AtomicBool, Ordering};

use distri::{
    Config, Node, NodeHandle, Result,
    identity::Identity,
    registry,
    service::{Health, Service},
    transport::memory::Network,
};

use crate::support::{config, serve};

#[derive(Default)]
struct Plain;

#[distri::service]
impl Plain {
    async fn ping(&self) -> Result<u8> {
        Ok(1)
    }
}

struct Configured {
    settings: Settings,
    node: String,
}

#[distri::message]
#[derive(Default)]
#[serde(default)]
struct Settings {
    greeting: String,
    limit: u32,
}

#[distri::service(init = Self::open, name = "configured-service")]
impl Configured {
    async fn greeting(&self) -> Result<(String, u32, String)> {
        Ok((
            self.settings.greeting.clone(),
            self.settings.limit,
            self.node.clone(),
        ))
    }
}

impl Configured {
    async fn open(node: &NodeHandle, settings: Settings) -> Result<Self> {
        Ok(Self {
            settings,
            node: node.name().to_owned(),
        })
    }
}

#[distri::service]
trait Interface {
    async fn number(&self) -> Result<u32>;
}

struct Implementation(u32);

async fn start_implementation(
    _: &NodeHandle,
    settings: Settings,
) -> std::io::Result<Implementation> {
    if settings.limit == 13 {
        return Err(std::io::Error::other("bad luck"));
    }
    Ok(Implementation(settings.limit))
}

#[distri::service(init = start_implementation)]
impl Interface for Implementation {
    async fn number(&self) -> Result<u32> {
        Ok(self.0)
    }
}

fn with_registry(config: Config) -> distri::node::NodeBuilder {
    let transport = Network::new(1).transport(Identity::generate());
    Node::builder()
        .transport(std::sync::Arc::new(transport))
        .config(config)
}

#[derive(Default)]
#[distri::message]
struct Table {
    greeting: String,
    limit: u32,
}

#[test]
fn services_register_themselves_at_the_place_of_the_attribute() {
    let linked = registry::linked().unwrap();

    let names: Vec<_> = linked.iter().map(registry::Registration::name).collect();
    for name in ["configured-service", "interface", "plain"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let plain = linked
        .iter()
        .find(|registration| registration.name() == "plain")
        .unwrap();
    assert!(
        plain.place().file().ends_with("start.rs"),
        "{}",
        plain.place()
    );
    let line = include_str!("start.rs")
        .lines()
        .position(|line| line == "impl Plain {")
        .unwrap();
    assert_eq!(plain.place().line() as usize, line);
    assert_eq!(plain.descriptor().name, "plain");
}

#[tokio::test]
async fn init_gets_the_node_and_the_services_part_of_the_configuration() {
    let mut config = config();
    config.node.name = Some("n1".into());
    let table = Table {
        greeting: "hello".into(),
        limit: 5,
    };
    config.set_service("configured-service", &table).unwrap();
    config
        .set_service("interface", &Limit { limit: 7 })
        .unwrap();

    let node = with_registry(config).start().await.unwrap();

    let greeting = ConfiguredClient::new(node.client())
        .greeting()
        .await
        .unwrap();
    assert_eq!(greeting, ("hello".into(), 5, "n1".into()));
    assert_eq!(
        InterfaceClient::new(node.client()).number().await.unwrap(),
        7
    );
    assert_eq!(PlainClient::new(node.client()).ping().await.unwrap(), 1);
}

#[distri::message]
struct Limit {
    limit: u32,
}

#[distri::message]
struct Unknown {
    colour: u32,
}

/// Why a node with `table` for `service` does not start.
async fn refusal<T: distri::__private::serde::Serialize>(service: &str, table: T) -> String {
    let mut config = config();
    config
        .set_service(service, &table)
        .expect("a struct is a table");
    let error = with_registry(config)
        .start()
        .await
        .expect_err("the table is wrong");
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

#[tokio::test]
async fn a_key_that_nobody_reads_is_refused() {
    for service in ["configured-service", "plain", "interface"] {
        let refusal = refusal(service, Unknown { colour: 1 }).await;
        assert!(
            refusal.contains(service) && refusal.contains("colour"),
            "{refusal}"
        );
    }
}

#[tokio::test]
async fn a_service_that_does_not_start_says_why() {
    let refusal = refusal("interface", Limit { limit: 13 }).await;

    assert!(
        refusal.contains("interface") && refusal.contains("bad luck"),
        "{refusal}"
    );
}

/// Remembers what happens to it.
struct Living;

static SERVING: AtomicBool = AtomicBool::new(false);
static STOPPED: AtomicBool = AtomicBool::new(false);

#[distri::service(register = false, stop = Self::close, health = Living::is_well)]
impl Living {
    async fn ping(&self) -> Result<u8> {
        Ok(1)
    }
}

impl Living {
    async fn close(&self) {
        STOPPED.store(true, Ordering::Relaxed);
    }

    fn is_well(&self) -> Health {
        if SERVING.load(Ordering::Relaxed) {
            Health::Serving
        } else {
            Health::NotServing
        }
    }
}

struct Librarian;

#[distri::service(register = false, collections = Self::collections)]
impl Librarian {
    /// Puts a book on the shelf, and counts.
    async fn shelve(&self, cx: &distri::Context, title: String) -> Result<u64> {
        let books = cx.directory().collection::<String>("books");
        books.insert(title.clone(), &title).await?;
        books.count(distri::directory::Filter::All).await
    }
}

impl Librarian {
    fn collections(&self) -> Vec<distri::directory::CollectionSpec> {
        vec![distri::directory::CollectionSpec::new("books")]
    }
}

#[tokio::test]
async fn a_service_finds_the_collections_that_it_declares() {
    let (_node, client) = serve(|node| node.service(Librarian)).await;
    let librarian = LibrarianClient::new(client);

    assert_eq!(librarian.shelve("Emma".into()).await.unwrap(), 1);
    assert_eq!(librarian.shelve("Persuasion".into()).await.unwrap(), 2);
}

#[tokio::test]
async fn stop_and_health_are_the_functions_named() {
    assert_eq!(Living.health(), Health::NotServing);
    SERVING.store(true, Ordering::Relaxed);
    assert_eq!(Living.health(), Health::Serving);
    let (node, client) = serve(|node| node.service(Living)).await;
    LivingClient::new(client).ping().await.unwrap();

    node.shutdown().await;

    assert!(STOPPED.load(Ordering::Relaxed));
}
