//! A service inside a function, as tests have them.

#[test]
fn a_service_can_stand_in_a_function() {
    #[distri::message]
    struct Text(String);

    #[derive(Default)]
    struct WordCount;

    #[distri::service(register = false)]
    impl WordCount {
        async fn count(&self, text: Text) -> distri::Result<usize> {
            Ok(text.0.len())
        }
    }

    #[distri::service]
    trait Count {
        async fn count(&self, text: Text) -> distri::Result<usize>;
    }

    #[distri::service(register = false)]
    impl Count for WordCountToo {
        async fn count(&self, text: Text) -> distri::Result<usize> {
            Ok(text.0.len())
        }
    }

    struct WordCountToo;

    assert_eq!(WordCountClient::descriptor().name, "word-count");
    assert_eq!(CountClient::descriptor().name, "count");
}
