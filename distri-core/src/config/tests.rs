//! What operators see: precedence, refusals, and where each value came from.

use std::fs;

use serde::Deserialize;
use tempfile::TempDir;

use super::*;

const KEY_A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const KEY_B: &str = "baaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A `distri.toml` in a folder of its own.
struct Toml(TempDir);

impl Toml {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("distri.toml"), text).unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("distri.toml")
    }

    fn loader(&self) -> Loader {
        Config::loader().file(self.path())
    }

    fn load(&self) -> Config {
        self.loader().load().unwrap()
    }

    /// The complaint, with the file's folder cut off.
    fn refusal(&self) -> String {
        let text = self.loader().load().unwrap_err().to_string();
        text.replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn refusal_of_variable(name: &str, value: &str) -> String {
    Config::loader()
        .env_from([(name, value)])
        .load()
        .unwrap_err()
        .to_string()
}

fn source(config: &Config, key: &str) -> String {
    let settings = config.explain();
    let setting = settings.iter().find(|setting| setting.key == key).unwrap();
    setting.source.to_string()
}

#[test]
fn nothing_configured_is_the_default() {
    let config = Config::loader().load().unwrap();

    assert_eq!(config.sections(), Sections::default());
    assert_eq!(config.node.listen.as_str(), "127.0.0.1:4600");
    assert_eq!(config.limits.message_max, 16 << 20);
    assert_eq!(config.configured_services().count(), 0);
}

#[test]
fn flags_win_over_the_environment_over_files_over_defaults() {
    let toml = Toml::new(
        "[node]\nname = 'file'\nlisten = 'file:1'\nadvertise = 'file:1'\n[log]\nlevel = 'warn'",
    );

    let config = toml
        .loader()
        .flag("--listen", "node.listen", "flag:3")
        .env_from([
            ("DISTRI_NODE__LISTEN", "env:2"),
            ("DISTRI_NODE__ADVERTISE", "env:2"),
        ])
        .load()
        .unwrap();

    assert_eq!(config.node.listen.as_str(), "flag:3");
    assert_eq!(config.node.advertise.as_ref().unwrap().as_str(), "env:2");
    assert_eq!(config.node.name.as_deref(), Some("file"));
    assert_eq!(source(&config, "node.listen"), "flag --listen");
    assert_eq!(
        source(&config, "node.advertise"),
        "environment variable DISTRI_NODE__ADVERTISE"
    );
    assert_eq!(
        source(&config, "node.name"),
        format!("{}:2", toml.path().display())
    );
    assert_eq!(source(&config, "log.format"), "default");
}

#[test]
fn a_later_file_wins_over_an_earlier_one() {
    let first = Toml::new("[node]\nname = 'first'\n[log]\nlevel = 'warn'");
    let second = Toml::new("[node]\nname = 'second'");

    let config = first.loader().file(second.path()).load().unwrap();

    assert_eq!(config.node.name.as_deref(), Some("second"));
    assert_eq!(config.log.level, "warn");
}

#[test]
fn all_of_a_file_is_read() {
    let toml = Toml::new(&format!(
        r#"
        [node]
        name = "a"
        listen = "[::]:4601"
        advertise = "node-a.example.org:4601"
        identity = "keys/a.key"
        [cloud]
        nodes = ["{KEY_A}@10.0.0.1:4600", "{KEY_B}@10.0.0.2:4600"]
        [access]
        clients = "listed"
        keys = ["{KEY_A}"]
        [access.roles]
        admin = ["{KEY_B}"]
        [limits]
        message_max = "1 MiB"
        calls = 17
        drain = "250ms"
        [client]
        identity = "/keys/client.key"
        [log]
        level = "info,distri_core=debug"
        format = "json"
        [services.stego]
        max_pixels = 5
        "#
    ));

    let config = toml.load();

    assert_eq!(
        config.cloud.nodes[1].to_string(),
        format!("{KEY_B}@10.0.0.2:4600")
    );
    assert_eq!(config.access.clients, ClientAccess::Listed);
    assert_eq!(config.access.roles["admin"], [KEY_B.parse().unwrap()]);
    assert_eq!(config.limits.message_max, 1 << 20);
    assert_eq!(config.limits.drain, Duration::from_millis(250));
    assert_eq!(
        config.client.identity.as_deref(),
        Some("/keys/client.key".as_ref())
    );
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.configured_services().collect::<Vec<_>>(), ["stego"]);
}

#[test]
fn a_relative_path_in_a_file_is_taken_from_the_files_folder_and_elsewhere_from_the_current_one() {
    let toml = Toml::new("[node]\nidentity = 'keys/a.key'\n[client]\nidentity = 'c.key'");

    let by_file = toml.load();
    let by_variable = toml
        .loader()
        .env_from([("DISTRI_NODE__IDENTITY", "b.key")])
        .load()
        .unwrap();
    let by_flag = toml
        .loader()
        .flag("--identity", "node.identity", "b.key")
        .load()
        .unwrap();

    assert_eq!(by_file.node.identity, toml.0.path().join("keys/a.key"));
    assert_eq!(by_file.client.identity, Some(toml.0.path().join("c.key")));
    assert_eq!(by_variable.node.identity, PathBuf::from("b.key"));
    assert_eq!(by_flag.node.identity, PathBuf::from("b.key"));
    assert_eq!(Config::default().node.identity, PathBuf::from("node.key"));
}

#[test]
fn lists_come_from_the_environment_separated_by_commas() {
    let nodes = format!("{KEY_A}@a:1, {KEY_B}@b:2,");

    let config = Config::loader()
        .env_from([
            ("DISTRI_CLOUD__NODES", nodes.as_str()),
            ("DISTRI_ACCESS__KEYS", &format!("[\"{KEY_A}\"]")),
            ("DISTRI_ACCESS__ROLES__NIGHT_WATCH", KEY_B),
        ])
        .load()
        .unwrap();

    assert_eq!(config.cloud.nodes.len(), 2);
    assert_eq!(config.access.keys, [KEY_A.parse().unwrap()]);
    assert_eq!(config.access.roles["night-watch"], [KEY_B.parse().unwrap()]);
}

#[test]
fn an_empty_variable_empties_a_list_and_unsets_what_may_be_unset() {
    let toml = Toml::new(&format!(
        "[node]\nname = 'a'\n[cloud]\nnodes = ['{KEY_A}@a:1']"
    ));

    let config = toml
        .loader()
        .env_from([("DISTRI_CLOUD__NODES", ""), ("DISTRI_NODE__NAME", "")])
        .load()
        .unwrap();

    assert!(config.cloud.nodes.is_empty());
    assert_eq!(config.node.name, None);
}

#[test]
fn a_name_of_digits_in_the_environment_is_still_a_name() {
    let config = Config::loader()
        .env_from([("DISTRI_NODE__NAME", "7")])
        .load()
        .unwrap();

    assert_eq!(config.node.name.as_deref(), Some("7"));
}

#[test]
fn numbers_durations_and_sizes_come_from_the_environment() {
    let config = Config::loader()
        .env_from([
            ("DISTRI_LIMITS__CALLS", "12"),
            ("DISTRI_LIMITS__KEEP_ALIVE", "1.5s"),
            ("DISTRI_LIMITS__UNWRITTEN", "2 MiB"),
            ("DISTRI_LIMITS__MESSAGE_MAX", "1048576"),
        ])
        .load()
        .unwrap();

    assert_eq!(config.limits.calls, 12);
    assert_eq!(config.limits.keep_alive, Duration::from_millis(1500));
    assert_eq!(config.limits.unwritten, 2 << 20);
    assert_eq!(config.limits.message_max, 1 << 20);
}

#[test]
fn each_error_names_key_source_and_expectation() {
    let cases = [
        (
            "[node]\nlisten = 5",
            "node.listen (distri.toml:2): found 5, expected a string",
        ),
        (
            "[node]\nlisten = 'x'",
            "node.listen (distri.toml:2): found \"x\", expected HOST:PORT, such as 127.0.0.1:4600 or [::]:4600",
        ),
        (
            "[node]\nadvertise = '0.0.0.0:4600'",
            "node.advertise (distri.toml:2): found \"0.0.0.0:4600\", expected HOST:PORT that others can dial, such as node-1.example.org:4600",
        ),
        (
            "[node]\nname = 'a b'",
            "node.name (distri.toml:2): found \"a b\", expected a name of 1 to 63 letters, digits, `-`, `_` and `.`",
        ),
        (
            "[node]\nidentity = ''",
            "node.identity (distri.toml:2): found \"\", expected a path",
        ),
        (
            "[cloud]\nnodes = ['abc']",
            "cloud.nodes (distri.toml:2): `abc` is not an endpoint: expected KEY@HOST:PORT, where KEY is what `id` prints on that node",
        ),
        (
            "[cloud]\nnodes = 'abc'",
            "cloud.nodes (distri.toml:2): found \"abc\", expected a sequence",
        ),
        (
            "[access]\nclients = 'closed'",
            "access.clients (distri.toml:2): found \"closed\", expected `open` or `listed`",
        ),
        (
            "[limits]\n\ndrain = 5",
            "limits.drain (distri.toml:3): found 5, expected a duration such as \"5s\", \"250ms\" or \"2m\"",
        ),
        (
            "[limits]\nmessage_max = '16 M'",
            "limits.message_max (distri.toml:2): found \"16 M\", expected a size such as \"16 MiB\", or a number of bytes",
        ),
        (
            "[limits]\nunwritten = '4 GiB'",
            "limits.unwritten (distri.toml:2): found 4 GiB, expected a size below 4 GiB",
        ),
        (
            "[limits]\ncalls = 0",
            "limits.calls (distri.toml:2): found 0, expected a number from 1 to 10000000",
        ),
        (
            "[limits]\ncalls = -1",
            "limits.calls (distri.toml:2): found -1, expected u32",
        ),
        (
            "[limits]\nlink_window = '64 KiB'",
            "limits.link_window (distri.toml:2): found 64 KiB, expected a size from that of limits.channel_window (1 MiB) to 1 GiB",
        ),
        (
            "[log]\nlevel = 'loud'",
            "log.level (distri.toml:2): found \"loud\", expected error, warn, info, debug, trace or off, also by part of the program as in `info,distri_core::rpc=debug`",
        ),
        (
            "node = 5",
            "node (distri.toml:1): found 5, expected struct NodeConfig",
        ),
        (
            "services = 5",
            "services (distri.toml:1): found a single value, expected a table, as in [services.stego]",
        ),
        (
            "[services]\nstego = 5",
            "services.stego (distri.toml:2): found a single value, expected a table, as in [services.stego]",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(Toml::new(text).refusal(), expected);
    }
}

#[test]
fn an_error_in_the_environment_or_a_flag_names_it() {
    assert_eq!(
        refusal_of_variable("DISTRI_LIMITS__CALLS", "many"),
        "limits.calls (environment variable DISTRI_LIMITS__CALLS): found \"many\", expected u32"
    );
    let error = Config::loader()
        .flag("--listen", "node.listen", "x")
        .load()
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("node.listen (flag --listen): found \"x\""),
        "{error}"
    );
}

#[test]
fn unknown_keys_are_all_refused_with_the_nearest_known_one() {
    let text =
        Toml::new("[node]\nlisen = 'x'\n[cluod]\nnodes = []\n[log]\nlisten = ''\n").refusal();

    assert_eq!(
        text,
        "3 settings cannot be used:\
         \n  cluod (distri.toml:3): no such key; did you mean `cloud`?\
         \n  log.listen (distri.toml:6): no such key; did you mean `node.listen`?\
         \n  node.lisen (distri.toml:2): no such key; did you mean `node.listen`?"
    );
}

#[test]
fn an_unknown_key_that_resembles_nothing_is_refused_with_the_known_ones() {
    assert_eq!(
        Toml::new("[client]\nquux = 1").refusal(),
        "client.quux (distri.toml:2): no such key; known here: identity, links"
    );
    assert_eq!(
        Toml::new("quux = 1").refusal(),
        "quux (distri.toml:1): no such key; known here: node, peer, cloud, access, limits, directory, admin, client, log, services"
    );
    assert_eq!(
        Toml::new("[service.stego]\n").refusal(),
        "service (distri.toml:1): no such key; did you mean `services`?"
    );
}

#[test]
fn an_unknown_variable_is_refused_unless_it_is_somebody_elses() {
    assert_eq!(
        refusal_of_variable("DISTRI_NODE__LISEN", "x:1"),
        "node.lisen (environment variable DISTRI_NODE__LISEN): no such key; did you mean `node.listen`?"
    );
    assert_eq!(
        refusal_of_variable("DISTRI_NODE_LISTEN", "x:1"),
        "DISTRI_NODE_LISTEN: sets nothing; did you mean DISTRI_NODE__LISTEN, with two underscores?"
    );
    assert_eq!(
        refusal_of_variable("DISTRI_LIMITS_MESSAGE_MAX", "x:1"),
        "DISTRI_LIMITS_MESSAGE_MAX: sets nothing; did you mean DISTRI_LIMITS__MESSAGE_MAX, with two underscores?"
    );
    assert!(refusal_of_variable("DISTRI_LOG", "debug").contains("DISTRI_LOG__"));

    let others = [
        ("DISTRI_CONFIG", "x"),
        ("DISTRI_SERVICE_HOST", "10.0.0.1"),
        ("DISTRI_PORT_4600_TCP", "t"),
        ("HOME", "/"),
    ];
    assert!(Config::loader().env_from(others).load().is_ok());
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let value = std::ffi::OsString::from_vec(vec![0xff]);

    let error = Config::loader()
        .env_from([(std::ffi::OsString::from("DISTRI_NODE__NAME"), value)])
        .load()
        .unwrap_err();

    assert!(error.to_string().contains("expected UTF-8"), "{error}");
}

#[test]
fn a_node_listed_twice_is_refused() {
    let text = Toml::new(&format!("[cloud]\nnodes = ['{KEY_A}@a:1', '{KEY_A}@b:1']")).refusal();

    assert_eq!(
        text,
        "cloud.nodes (distri.toml:2): found the key aaaaaaaa… twice, expected each node once, as KEY@HOST:PORT"
    );
}

#[test]
fn a_required_file_must_exist_and_an_optional_one_need_not() {
    let missing = PathBuf::from("/nonexistent/distri.toml");

    let error = Config::loader().file(&missing).load().unwrap_err();

    assert_eq!(
        error.to_string(),
        "could not read the configuration `/nonexistent/distri.toml`"
    );
    assert!(Config::loader().optional_file(&missing).load().is_ok());
    assert!(
        Config::loader().optional_file("/").load().is_err(),
        "a folder is no file"
    );
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_line() {
    let text = Toml::new("[node]\nname = \n").refusal();

    assert!(text.starts_with("distri.toml:2: not TOML: "), "{text}");
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(default)]
struct StegoConfig {
    max_pixels: u64,
    scale: bool,
    formats: Vec<String>,
    #[serde(with = "duration")]
    patience: Duration,
    #[serde(with = "path::option")]
    covers: Option<PathBuf>,
    method: Method,
    token: Option<u32>,
    any: serde_json::Value,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Method {
    #[default]
    PlusMinus,
    Tuned {
        strength: u8,
    },
}

impl Default for StegoConfig {
    fn default() -> Self {
        Self {
            max_pixels: 7,
            scale: false,
            formats: Vec::new(),
            patience: Duration::from_secs(1),
            covers: None,
            method: Method::PlusMinus,
            token: None,
            any: serde_json::Value::Null,
        }
    }
}

#[test]
fn a_service_reads_its_own_type_from_file_and_environment() {
    let toml = Toml::new(
        "[services.stego-x]\nmax_pixels = 40\ncovers = 'covers'\nmethod = { tuned = { strength = 3 } }\nany = [1]",
    );

    let config = toml
        .loader()
        .env_from([
            ("DISTRI_SERVICES__STEGO_X__SCALE", "true"),
            ("DISTRI_SERVICES__STEGO_X__MAX_PIXELS", "41"),
            ("DISTRI_SERVICES__STEGO_X__FORMATS", "png,7"),
            ("DISTRI_SERVICES__STEGO_X__PATIENCE", "5ms"),
        ])
        .load()
        .unwrap();

    let read: StegoConfig = config.service("stego-x").read().unwrap();
    let expected = StegoConfig {
        max_pixels: 41,
        scale: true,
        formats: vec!["png".into(), "7".into()],
        patience: Duration::from_millis(5),
        covers: Some(toml.0.path().join("covers")),
        method: Method::Tuned { strength: 3 },
        token: None,
        any: serde_json::json!([1]),
    };
    assert_eq!(read, expected);
}

#[test]
fn a_service_that_is_not_configured_gets_its_default() {
    let config = Config::default();

    assert_eq!(
        config.service("stego").read::<StegoConfig>().unwrap(),
        StegoConfig::default()
    );
    config.service("stego").read::<()>().unwrap();
    config.service("stego").expect_empty().unwrap();
    assert!(config.service("stego").is_empty());
    assert!(ServiceConfig::default().is_empty());
}

#[test]
fn keys_that_a_service_does_not_read_are_refused_even_if_its_type_does_not_care() {
    let toml =
        Toml::new("[services.stego]\nmax_pixel = 40\nscale = true\n[services.stego.deep]\nx = 1");
    let config = toml.load();
    let tidy = |text: String| text.replace(&format!("{}/", toml.0.path().display()), "");

    let error = config.service("stego").read::<StegoConfig>().unwrap_err();
    let nothing = config.service("stego").expect_empty().unwrap_err();

    assert_eq!(error.code(), crate::error::Code::FailedPrecondition);
    assert_eq!(
        tidy(error.to_string()),
        "2 settings cannot be used:\
         \n  services.stego.deep (distri.toml:4): no such key; known here: max_pixels, scale, formats, patience, covers, method, token, any\
         \n  services.stego.max_pixel (distri.toml:2): no such key; did you mean `services.stego.max_pixels`?"
    );
    assert!(
        nothing.to_string().starts_with("3 settings cannot be used"),
        "{nothing}"
    );
    assert!(
        nothing.to_string().contains("nothing is configurable here"),
        "{nothing}"
    );
}

#[test]
fn deny_unknown_fields_gives_the_same_complaint() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        #[expect(dead_code, reason = "only read")]
        side: u32,
    }
    let toml = Toml::new("[services.x]\nsid = 1");

    let error = toml
        .load()
        .service("x")
        .read::<Strict>()
        .unwrap_err()
        .to_string();

    assert!(
        error.ends_with("distri.toml:2): no such key; did you mean `services.x.side`?"),
        "{error}"
    );
}

#[test]
fn what_a_service_requires_and_nobody_set_is_refused_saying_how_to_set_it() {
    #[derive(Debug, Deserialize)]
    struct Required {
        #[expect(dead_code, reason = "only read")]
        folder: String,
    }

    let error = Config::default()
        .service("word-count")
        .read::<Required>()
        .unwrap_err();

    assert_eq!(
        error.to_string(),
        "services.word-count.folder: required and not set: write `folder = …` under \
         [services.word-count], or set DISTRI_SERVICES__WORD_COUNT__FOLDER"
    );
}

#[test]
fn secrets_of_services_are_never_shown() {
    let toml = Toml::new(
        "[services.gateway]\napi_token = 'hush-1'\ntoken_file = 'shown'\n[services.gateway.passwords]\nroot = 'hush-2'\n[services.stego]\ntoken = 'hush-3'",
    );
    let variables = [("DISTRI_SERVICES__GATEWAY__CLIENT_SECRET", "hush-4")];
    let loader = toml.loader().env_from(variables);
    let debug_of_loader = format!("{loader:?}");
    let config = loader.load().unwrap();

    let explained = format!("{:?}", config.explain());
    let debug = format!(
        "{config:?} {:?} {debug_of_loader}",
        config.service("gateway")
    );
    let error = config
        .service("stego")
        .read::<StegoConfig>()
        .unwrap_err()
        .to_string();

    for text in [&explained, &debug, &error] {
        assert!(!text.contains("hush"), "{text}");
    }
    assert!(
        explained.contains("shown") && explained.contains("(hidden)"),
        "{explained}"
    );
    assert!(error.contains("services.stego.token"), "{error}");
}

#[test]
fn a_program_may_configure_a_service_and_is_named_as_the_source() {
    #[derive(serde::Serialize)]
    struct Written {
        max_pixels: &'static str,
    }
    let mut config = Config::default();
    config
        .set_service("stego", &Written { max_pixels: "five" })
        .unwrap();

    let error = config
        .service("stego")
        .read::<StegoConfig>()
        .unwrap_err()
        .to_string();

    assert_eq!(
        error,
        "services.stego.max_pixels (the program): found \"five\", expected u64"
    );
    assert!(config.set_service("stego", &5).is_err());
    assert_eq!(source(&config, "services.stego.max_pixels"), "the program");
}

#[test]
fn a_setting_changed_by_the_program_says_so() {
    let toml = Toml::new("[node]\nname = 'a'\nlisten = 'a:1'");
    let mut config = toml.load();

    config.node.listen = Address::new("b:1");

    assert_eq!(source(&config, "node.listen"), "the program");
    assert_eq!(
        source(&config, "node.name"),
        format!("{}:2", toml.path().display())
    );
    assert_eq!(source(&Config::default(), "node.name"), "default");
}

#[test]
fn every_setting_is_explained_with_its_value() {
    let mut config = Config::default();
    config
        .access
        .roles
        .insert("admin".into(), vec![KEY_A.parse().unwrap()]);

    let settings = config.explain();

    let value = |key: &str| {
        settings
            .iter()
            .find(|setting| setting.key == key)
            .unwrap()
            .value
            .to_string()
    };
    assert_eq!(value("node.listen"), "\"127.0.0.1:4600\"");
    assert_eq!(value("node.name"), "null");
    assert_eq!(value("limits.message_max"), "\"16 MiB\"");
    assert_eq!(value("limits.drain"), "\"10s\"");
    assert_eq!(value("access.roles.admin"), format!("[\"{KEY_A}\"]"));
}

#[test]
fn what_explain_shows_is_what_a_file_may_say() {
    let config = Config::default();
    let mut text = String::new();
    for setting in config
        .explain()
        .iter()
        .filter(|setting| !setting.value.is_null())
    {
        text.push_str(&format!("{} = {}\n", setting.key, setting.value));
    }

    let again = Toml::new(&text).load();

    assert_eq!(again.limits, config.limits);
    assert_eq!(again.log, config.log);
}

mod any_input {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_variable_is_read_or_refused(name in "[A-Z_]{0,20}", value: String) {
            let name = format!("DISTRI_{name}");
            let _ = Config::loader().env_from([(name, value)]).load();
        }

        #[test]
        fn any_value_of_any_key_is_read_or_refused(at in 0usize..30, value: String) {
            let settings = Config::default().explain();
            let key = settings[at % settings.len()].key.clone();
            let _ = Config::loader().flag("--set", key, value).load();
        }
    }
}

#[test]
fn a_client_without_links_and_one_with_too_many_are_refused() {
    for count in ["0", "1025"] {
        let refusal = Toml::new(&format!("[client]\nlinks = {count}")).refusal();
        assert!(
            refusal.starts_with("client.links (distri.toml:2): "),
            "{refusal}"
        );
        assert!(refusal.contains("a number from 1 to 1024"), "{refusal}");
    }
}
