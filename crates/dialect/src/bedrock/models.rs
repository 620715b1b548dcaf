//! The control plane's questions about models, answered from [`ModelCard`]s: models are
//! foundation models, aliases are (system-defined) inference profiles.
//!
//! Source: `FoundationModelDetails`, `FoundationModelSummary`, `InferenceProfileSummary`,
//! bedrock service model of botocore 1.44.5 (read 2026-11-22).

use message::{ErrorKind, Failure, ModelCard};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::reply::ok;
use crate::Whole;

/// Region and account of the ARNs: those of nobody.
const FOUNDATION_MODEL_ARN: &str = "arn:aws:bedrock:us-east-1::foundation-model/";
const INFERENCE_PROFILE_ARN: &str = "arn:aws:bedrock:us-east-1:000000000000:inference-profile/";
/// Most profiles on a page, of the service model; also how many unless asked.
const PAGE_MAX: usize = 1000;
/// How alike a name must be to be suggested, 0 to 1.
const SUGGESTION_LIKENESS_MIN: f64 = 0.7;

/// A request about models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// All foundation models that pass a filter.
    ListFoundationModels(ModelFilter),
    /// One foundation model.
    GetFoundationModel {
        /// Its id or ARN.
        id: String,
    },
    /// A page of inference profiles.
    ListInferenceProfiles(ProfilePage),
    /// One inference profile.
    GetInferenceProfile {
        /// Its id or ARN.
        id: String,
    },
}

/// Which foundation models to list; `None` means any. Values as in the query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelFilter {
    /// Provider's name, in any case.
    pub provider: Option<String>,
    /// `FINE_TUNING`, `CONTINUED_PRE_TRAINING` or `DISTILLATION`.
    pub customization: Option<String>,
    /// `TEXT`, `IMAGE` or `EMBEDDING`.
    pub output_modality: Option<String>,
    /// `ON_DEMAND` or `PROVISIONED`.
    pub inference_type: Option<String>,
}

/// Which inference profiles to list. Values as in the query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfilePage {
    /// `SYSTEM_DEFINED` or `APPLICATION`; `None` means both.
    pub kind: Option<String>,
    /// 1 to 1000.
    pub max_results: Option<String>,
    /// The id of the last profile of the page before.
    pub next_token: Option<String>,
}

/// Answers a request about models.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) for a model that is not there,
/// [`InvalidRequest`](ErrorKind::InvalidRequest) for a filter that is none.
pub fn answer(command: &Command, models: &[ModelCard]) -> Result<Whole, Failure> {
    let body = match command {
        Command::ListFoundationModels(filter) => list_models(filter, models)?,
        Command::GetFoundationModel { id } => {
            json!({ "modelDetails": model(find(id, models, false)?) })
        }
        Command::ListInferenceProfiles(page) => list_profiles(page, models)?,
        Command::GetInferenceProfile { id } => profile(find(id, models, true)?),
    };
    Ok(ok(&body))
}

/// The id inside an ARN (`…:foundation-model/ID`, `…:inference-profile/ID` …); anything
/// else is an id already.
pub fn model_id(arn_or_id: &str) -> &str {
    if !arn_or_id.starts_with("arn:") {
        return arn_or_id;
    }
    // arn : partition : service : region : account : kind/id, where the id may hold colons.
    let resource = arn_or_id.splitn(6, ':').nth(5);
    resource.and_then(|resource| resource.split_once('/')).map_or(arn_or_id, |(_, id)| id)
}

fn is_profile(card: &ModelCard) -> bool {
    !card.alias_of.is_empty()
}

fn list_models(filter: &ModelFilter, models: &[ModelCard]) -> Result<Value, Failure> {
    let customization = ["FINE_TUNING", "CONTINUED_PRE_TRAINING", "DISTILLATION"];
    one_of("byCustomizationType", filter.customization.as_deref(), &customization)?;
    one_of("byOutputModality", filter.output_modality.as_deref(), &["TEXT", "IMAGE", "EMBEDDING"])?;
    one_of("byInferenceType", filter.inference_type.as_deref(), &["ON_DEMAND", "PROVISIONED"])?;
    let wanted = |filter: &Option<String>, has: &str| filter.as_deref().is_none_or(|filter| filter == has);
    // What is true of all models here: text comes out, on demand, as it is.
    let none = filter.customization.is_some()
        || !wanted(&filter.output_modality, "TEXT")
        || !wanted(&filter.inference_type, "ON_DEMAND");
    let summaries: Vec<Value> = models
        .iter()
        .filter(|card| !none && !is_profile(card))
        .filter(|card| {
            filter.provider.as_deref().is_none_or(|name| name.eq_ignore_ascii_case(&card.provider))
        })
        .map(model)
        .collect();
    Ok(json!({ "modelSummaries": summaries }))
}

/// `FoundationModelSummary` and `FoundationModelDetails` have the same members.
fn model(card: &ModelCard) -> Value {
    let input: &[&str] = if card.images { &["TEXT", "IMAGE"] } else { &["TEXT"] };
    let mut lifecycle = json!({ "status": "ACTIVE" });
    if let Some(created) = timestamp(card) {
        lifecycle["startOfLifeTime"] = Value::from(created);
    }
    json!({
        "modelArn": format!("{FOUNDATION_MODEL_ARN}{}", card.id),
        "modelId": *card.id,
        "modelName": card.name,
        "providerName": card.provider,
        "inputModalities": input,
        "outputModalities": ["TEXT"],
        "responseStreamingSupported": true,
        "customizationsSupported": [],
        "inferenceTypesSupported": ["ON_DEMAND"],
        "modelLifecycle": lifecycle,
    })
}

fn list_profiles(page: &ProfilePage, models: &[ModelCard]) -> Result<Value, Failure> {
    one_of("type", page.kind.as_deref(), &["SYSTEM_DEFINED", "APPLICATION"])?;
    let most = match page.max_results.as_deref().map(str::parse::<usize>) {
        None => PAGE_MAX,
        Some(Ok(most)) if (1..=PAGE_MAX).contains(&most) => most,
        Some(_) => {
            return Err(Failure::invalid_field("maxResults", format_args!("must be 1 to {PAGE_MAX}")));
        }
    };
    let mut profiles: Vec<&ModelCard> = models
        .iter()
        .filter(|card| is_profile(card) && page.kind.as_deref() != Some("APPLICATION"))
        .filter(|card| page.next_token.as_deref().is_none_or(|last| *card.id > *last))
        .collect();
    // By id, so that a page can go on after the last one although profiles came and went.
    profiles.sort_by(|a, b| a.id.cmp(&b.id));
    let more = profiles.len() > most;
    profiles.truncate(most);
    let mut body = json!({
        "inferenceProfileSummaries": profiles.iter().map(|card| profile(card)).collect::<Vec<_>>(),
    });
    if more && let Some(last) = profiles.last() {
        body["nextToken"] = Value::from(&*last.id);
    }
    Ok(body)
}

/// `InferenceProfileSummary` and `GetInferenceProfileResponse` have the same members.
fn profile(card: &ModelCard) -> Value {
    let targets: Vec<Value> = card
        .alias_of
        .iter()
        .map(|target| json!({ "modelArn": format!("{FOUNDATION_MODEL_ARN}{target}") }))
        .collect();
    let mut profile = json!({
        "inferenceProfileName": card.name,
        "inferenceProfileArn": format!("{INFERENCE_PROFILE_ARN}{}", card.id),
        "inferenceProfileId": *card.id,
        "models": targets,
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
    });
    if let Some(created) = timestamp(card) {
        profile["createdAt"] = Value::from(created.clone());
        profile["updatedAt"] = Value::from(created);
    }
    profile
}

fn timestamp(card: &ModelCard) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(card.created_s).ok()?.format(&Rfc3339).ok()
}

fn one_of(name: &str, value: Option<&str>, words: &[&str]) -> Result<(), Failure> {
    match value {
        Some(value) if !words.contains(&value) => {
            Err(Failure::invalid_field(name, format_args!("must be one of {}", words.join(", "))))
        }
        _ => Ok(()),
    }
}

fn find<'a>(arn_or_id: &str, models: &'a [ModelCard], profile: bool) -> Result<&'a ModelCard, Failure> {
    let id = model_id(arn_or_id);
    match models.iter().find(|card| *card.id == *id) {
        Some(card) if is_profile(card) == profile => Ok(card),
        Some(_) if profile => Err(not_found(format!("`{id}` is a model; ask GetFoundationModel for it"))),
        Some(_) => Err(not_found(format!("`{id}` is an inference profile; ask GetInferenceProfile for it"))),
        None => Err(not_found(match nearest(id, models, profile) {
            Some(near) => format!("There is no `{id}` here. Did you mean `{near}`?"),
            None => format!("There is no `{id}` here."),
        })),
    }
}

fn not_found(message: String) -> Failure {
    Failure::new(ErrorKind::NotFound, message).with_param("model")
}

fn nearest<'a>(id: &str, models: &'a [ModelCard], profile: bool) -> Option<&'a str> {
    models
        .iter()
        .filter(|card| is_profile(card) == profile)
        .map(|card| (strsim::jaro_winkler(id, &card.id), &*card.id))
        .filter(|(likeness, _)| *likeness >= SUGGESTION_LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, near)| near)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(id: &str, alias_of: &[&str]) -> ModelCard {
        ModelCard {
            id: id.into(),
            name: format!("Name of {id}"),
            provider: "local".to_owned(),
            created_s: 1_795_435_200,
            context_length: Some(8192),
            images: id.contains("vision"),
            alias_of: alias_of.iter().map(|target| (*target).into()).collect(),
        }
    }

    fn cards() -> Vec<ModelCard> {
        vec![
            card("smollm2-135m-instruct", &[]),
            card("org/vision:7b", &[]),
            card("fast", &["smollm2-135m-instruct"]),
            card("best", &["org/vision:7b", "smollm2-135m-instruct"]),
        ]
    }

    fn ask(command: &Command) -> Result<Value, Failure> {
        answer(command, &cards()).map(|whole| serde_json::from_slice(&whole.body).unwrap())
    }

    fn list(filter: ModelFilter) -> Result<Value, Failure> {
        ask(&Command::ListFoundationModels(filter))
    }

    fn ids(list: &Value) -> Vec<&str> {
        let items = list.as_object().unwrap().values().find_map(Value::as_array).unwrap();
        items
            .iter()
            .map(|item| item.get("modelId").or(item.get("inferenceProfileId")).unwrap().as_str().unwrap())
            .collect()
    }

    #[test]
    fn models_are_foundation_models() {
        let all = list(ModelFilter::default()).unwrap();
        assert_eq!(ids(&all), ["smollm2-135m-instruct", "org/vision:7b"]);
        insta::assert_snapshot!(format!("{:#}", all["modelSummaries"][1]), @r#"
        {
          "modelArn": "arn:aws:bedrock:us-east-1::foundation-model/org/vision:7b",
          "modelId": "org/vision:7b",
          "modelName": "Name of org/vision:7b",
          "providerName": "local",
          "inputModalities": [
            "TEXT",
            "IMAGE"
          ],
          "outputModalities": [
            "TEXT"
          ],
          "responseStreamingSupported": true,
          "customizationsSupported": [],
          "inferenceTypesSupported": [
            "ON_DEMAND"
          ],
          "modelLifecycle": {
            "status": "ACTIVE",
            "startOfLifeTime": "2026-11-23T12:00:00Z"
          }
        }
        "#);
    }

    #[test]
    fn filters_leave_out_what_does_not_fit() {
        let some = |word: &str| Some(word.to_owned());
        let count = |filter| list(filter).map(|list| ids(&list).len());
        assert_eq!(count(ModelFilter { provider: some("LOCAL"), ..ModelFilter::default() }), Ok(2));
        assert_eq!(count(ModelFilter { provider: some("other"), ..ModelFilter::default() }), Ok(0));
        assert_eq!(count(ModelFilter { output_modality: some("TEXT"), ..ModelFilter::default() }), Ok(2));
        assert_eq!(count(ModelFilter { output_modality: some("IMAGE"), ..ModelFilter::default() }), Ok(0));
        assert_eq!(
            count(ModelFilter { inference_type: some("PROVISIONED"), ..ModelFilter::default() }),
            Ok(0)
        );
        assert_eq!(
            count(ModelFilter { customization: some("FINE_TUNING"), ..ModelFilter::default() }),
            Ok(0)
        );
        let failure =
            count(ModelFilter { output_modality: some("SMELL"), ..ModelFilter::default() }).unwrap_err();
        assert_eq!(failure.param.as_deref(), Some("byOutputModality"));
    }

    #[test]
    fn ids_and_arns_name_the_same() {
        for (name, id) in [
            ("a.b-v1:0", "a.b-v1:0"),
            ("arn:aws:bedrock:us-east-1::foundation-model/a.b-v1:0", "a.b-v1:0"),
            ("arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.a.b", "eu.a.b"),
            ("arn:aws:bedrock:us-east-1::foundation-model/org/vision:7b", "org/vision:7b"),
            ("arn:aws:bedrock", "arn:aws:bedrock"),
            ("arn:", "arn:"),
        ] {
            assert_eq!(model_id(name), id);
        }
        let get = |id: &str| ask(&Command::GetFoundationModel { id: id.to_owned() });
        let by_id = get("org/vision:7b").unwrap();
        assert_eq!(by_id, get(by_id["modelDetails"]["modelArn"].as_str().unwrap()).unwrap());
    }

    #[test]
    fn aliases_are_inference_profiles() {
        let profile = ask(&Command::GetInferenceProfile { id: "best".to_owned() }).unwrap();
        insta::assert_snapshot!(format!("{profile:#}"), @r#"
        {
          "inferenceProfileName": "Name of best",
          "inferenceProfileArn": "arn:aws:bedrock:us-east-1:000000000000:inference-profile/best",
          "inferenceProfileId": "best",
          "models": [
            {
              "modelArn": "arn:aws:bedrock:us-east-1::foundation-model/org/vision:7b"
            },
            {
              "modelArn": "arn:aws:bedrock:us-east-1::foundation-model/smollm2-135m-instruct"
            }
          ],
          "status": "ACTIVE",
          "type": "SYSTEM_DEFINED",
          "createdAt": "2026-11-23T12:00:00Z",
          "updatedAt": "2026-11-23T12:00:00Z"
        }
        "#);
        let arn = profile["inferenceProfileArn"].as_str().unwrap().to_owned();
        assert_eq!(ask(&Command::GetInferenceProfile { id: arn }).unwrap(), profile);
    }

    #[test]
    fn profiles_come_in_pages() {
        let page = |page: ProfilePage| ask(&Command::ListInferenceProfiles(page));
        let all = page(ProfilePage::default()).unwrap();
        assert_eq!((ids(&all), all.get("nextToken")), (vec!["best", "fast"], None));
        let first =
            page(ProfilePage { max_results: Some("1".to_owned()), ..ProfilePage::default() }).unwrap();
        assert_eq!(ids(&first), ["best"]);
        let token = first["nextToken"].as_str().map(str::to_owned);
        let second = page(ProfilePage { next_token: token, ..ProfilePage::default() }).unwrap();
        assert_eq!((ids(&second), second.get("nextToken")), (vec!["fast"], None));
        let none = page(ProfilePage { kind: Some("APPLICATION".to_owned()), ..ProfilePage::default() });
        assert!(ids(&none.unwrap()).is_empty());
        for bad in ["0", "1001", "x", "-1"] {
            let bad = ProfilePage { max_results: Some(bad.to_owned()), ..ProfilePage::default() };
            assert_eq!(page(bad).unwrap_err().param.as_deref(), Some("maxResults"));
        }
    }

    #[test]
    fn what_is_not_there_is_said_and_what_is_near_suggested() {
        let message = |command: Command| {
            let failure = ask(&command).unwrap_err();
            assert_eq!(failure.kind, ErrorKind::NotFound);
            failure.message
        };
        let model = |id: &str| message(Command::GetFoundationModel { id: id.to_owned() });
        let profile = |id: &str| message(Command::GetInferenceProfile { id: id.to_owned() });
        assert!(model("smollm2-135m-instuct").ends_with("Did you mean `smollm2-135m-instruct`?"));
        assert_eq!(model("zzz"), "There is no `zzz` here.");
        assert!(model("fast").contains("GetInferenceProfile"));
        assert!(profile("org/vision:7b").contains("GetFoundationModel"));
    }
}
