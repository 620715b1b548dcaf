//! The many ways clients spell one model.
//!
//! An exact name always wins. Otherwise the AWS forms are peeled off one step at a time,
//! and the first that names a target is meant:
//!
//! ```text
//! arn:aws:bedrock:us-east-1::inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0
//!                                              us.anthropic.claude-sonnet-4-5-20250929-v1:0   ARN
//!                                                 anthropic.claude-sonnet-4-5-20250929-v1:0   region
//!                                                 anthropic.claude-sonnet-4-5-20250929-v1     version …
//!                                                 anthropic.claude-sonnet-4-5-20250929        … and again
//!                                                 anthropic/claude-sonnet-4-5-20250929        provider/model
//!                                                           claude-sonnet-4-5-20250929        model
//! ```
//!
//! Sources: model id forms of the botocore 1.44.5 service model of `bedrock-runtime`;
//! cross-region prefixes of the Amazon Bedrock user guide (both read 2026-11-22).

/// Longest model name looked at, in bytes: Bedrock's own bound on `modelId`. A longer
/// one is nobody's, and is neither compared nor echoed.
pub const NAME_MAX_BYTES: usize = 2048;

/// Cross-region inference profile prefixes.
const REGIONS: [&str; 9] = ["us-gov.", "us.", "eu.", "apac.", "global.", "jp.", "au.", "ca.", "sa."];

/// Tries `look` on each shorter form of `name` until it finds something. The full name
/// itself has been tried.
pub(super) fn forms<T>(name: &str, look: impl Fn(&str) -> Option<T>) -> Option<T> {
    if name.len() > NAME_MAX_BYTES {
        return None;
    }
    let resource = resource(name);
    let regionless = REGIONS.iter().find_map(|region| resource.strip_prefix(region));
    [Some(resource), regionless].into_iter().flatten().find_map(|id| {
        let mut version = Some(id);
        while let Some(id) = version {
            if let Some(found) = provider_forms(id, &look) {
                return Some(found);
            }
            version = without_version(id);
        }
        None
    })
}

/// `provider.model` is `provider/model`, and each is `model` where only one provider has it.
fn provider_forms<T>(id: &str, look: &impl Fn(&str) -> Option<T>) -> Option<T> {
    if let Some(found) = look(id) {
        return Some(found);
    }
    if let Some(bare) = id.strip_prefix("local.").or_else(|| id.strip_prefix("local/")) {
        return look(bare);
    }
    let (provider, model) = id.split_once('.')?;
    look(&[provider, "/", model].concat())
}

/// The last part of an ARN's resource: `…:foundation-model/ID`, `…:custom-model/BASE/ID`,
/// `…:inference-profile/ID`; what is no ARN is its own.
fn resource(name: &str) -> &str {
    let resource = name.strip_prefix("arn:").and_then(|arn| arn.splitn(5, ':').nth(4));
    match resource.and_then(|resource| resource.split_once('/')) {
        Some((_kind, id)) => id,
        None => name,
    }
}

/// Takes off one `:variant` (`:0`, `:200k`) or, when none is left, `-v1`.
fn without_version(id: &str) -> Option<&str> {
    if let Some((rest, _variant)) = id.rsplit_once(':') {
        return Some(rest).filter(|rest| !rest.is_empty());
    }
    let (rest, version) = id.rsplit_once("-v")?;
    let number = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    (number && !rest.is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::*;

    fn tried(name: &str) -> Vec<String> {
        let tried = RefCell::new(Vec::new());
        forms(name, |form| -> Option<()> {
            tried.borrow_mut().push(form.to_owned());
            None
        });
        tried.into_inner()
    }

    #[test]
    fn peels_an_arn_step_by_step() {
        let arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-x-v1:0";
        assert_eq!(
            tried(arn),
            [
                "us.anthropic.claude-x-v1:0",
                "us/anthropic.claude-x-v1:0",
                "us.anthropic.claude-x-v1",
                "us/anthropic.claude-x-v1",
                "us.anthropic.claude-x",
                "us/anthropic.claude-x",
                "anthropic.claude-x-v1:0",
                "anthropic/claude-x-v1:0",
                "anthropic.claude-x-v1",
                "anthropic/claude-x-v1",
                "anthropic.claude-x",
                "anthropic/claude-x",
            ]
        );
    }

    #[test]
    fn knows_every_arn_and_version_form() {
        let foundation =
            "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/meta.llama3-8b-instruct-v1:0";
        assert!(tried(foundation).contains(&"meta.llama3-8b-instruct".into()));
        let custom = "arn:aws:bedrock:eu-west-1:123456789012:custom-model/amazon.nova/abcdefghijkl";
        assert!(tried(custom).contains(&"amazon.nova/abcdefghijkl".into()));
        let application = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/team-a";
        assert!(tried(application).contains(&"team-a".into()));
        assert!(
            tried("anthropic.claude-3-sonnet-20240229-v1:0:200k")
                .contains(&"anthropic.claude-3-sonnet-20240229".into())
        );
        assert!(tried("us-gov.x.y").contains(&"x/y".into()), "not taken for `us.`");
    }

    #[test]
    fn takes_nothing_off_that_is_not_a_version() {
        assert_eq!(without_version("phi-vision"), None);
        assert_eq!(without_version("x-v"), None);
        assert_eq!(without_version("-v1"), None);
        assert_eq!(without_version(":0"), None);
        assert_eq!(resource("arn:aws:bedrock"), "arn:aws:bedrock");
    }

    proptest! {
        #[test]
        fn any_name_ends(name in "(arn:)?[a-z.:/-]{0,40}\\PC{0,8}") {
            prop_assert!(tried(&name).len() <= 4 * (name.len() + 2));
        }
    }
}
