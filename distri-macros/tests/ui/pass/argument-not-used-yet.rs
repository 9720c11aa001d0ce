//! An argument that is not used yet starts with `_`; callers do not see that.

use distri::Result;

#[derive(Default)]
struct WordCount;

#[distri::service(register = false)]
impl WordCount {
    #[method(placement = key(user))]
    async fn count(&self, _user: u32, text: String) -> Result<usize> {
        Ok(text.len())
    }
}

#[test]
fn callers_see_the_name_without_the_underscore() {
    let arguments = &WordCountClient::descriptor().methods[0].arguments;

    assert!(arguments["properties"].get("user").is_some(), "{arguments}");
    assert!(
        arguments["properties"].get("_user").is_none(),
        "{arguments}"
    );
}
