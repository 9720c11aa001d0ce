//! The service as its callers see it: a node and a client in one process, over real links.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use distri::{Client, Config, Node, Result, Stream, identity::Identity, transport::Address};
use roman_numerals::{Counted, NumeralError, RomanNumerals, RomanNumeralsClient};

async fn node() -> Node {
    let mut config = Config::default();
    config.node.listen = Address::new("127.0.0.1:0");
    Node::builder()
        .config(config)
        .identity(Identity::generate())
        .start()
        .await
        .unwrap()
}

#[tokio::test]
async fn an_error_comes_back_typed() {
    let node = node().await;
    let client = Client::builder()
        .nodes([node.endpoint()])
        .connect()
        .await
        .unwrap();
    let numerals = RomanNumeralsClient::new(client);

    assert_eq!(numerals.write(1999).await.unwrap(), "MCMXCIX");
    let error = numerals.write(4000).await.unwrap_err();

    let expected = NumeralError::OutOfRange {
        number: 4000,
        largest: 3999,
    };
    assert_eq!(error.details(), Some(expected));
}

#[tokio::test]
async fn counting_gives_one_numeral_after_another() {
    let node = node().await;
    let numerals = RomanNumeralsClient::new(&node);

    let counted = numerals
        .count(3, 3)
        .await
        .unwrap()
        .collect(10)
        .await
        .unwrap();

    let written: Vec<&str> = counted.iter().map(|step| step.numeral.as_str()).collect();
    assert_eq!(written, ["III", "IV", "V"]);
}

/// Another implementation behind the same interface, as a test of a program that uses it has one.
struct Stubborn;

#[distri::service(register = false)]
impl RomanNumerals for Stubborn {
    async fn write(&self, _number: u32) -> Result<String, NumeralError> {
        Ok("I".to_owned())
    }

    async fn read(&self, _numeral: String) -> Result<u32, NumeralError> {
        Ok(1)
    }

    async fn count(&self, _first: u32, _how_many: u32) -> Result<Stream<Counted>, NumeralError> {
        Ok(Stream::from_items([]))
    }
}

#[tokio::test]
async fn a_mock_stands_behind_the_same_client() {
    let mut config = Config::default();
    config.node.listen = Address::new("127.0.0.1:0");
    let node = Node::builder()
        .config(config)
        .identity(Identity::generate())
        .without_registry()
        .service(Stubborn)
        .start()
        .await
        .unwrap();

    assert_eq!(RomanNumeralsClient::new(&node).write(9).await.unwrap(), "I");
}
