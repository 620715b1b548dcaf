//! Amazon's way: credentials from the standard chain (environment, profile, SSO cache,
//! web identity, ECS and EKS, EC2) by the official crate, and Signature Version 4 over
//! each request by our own `dialect::sigv4`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_types::region::Region;
use bytes::Bytes;
use dialect::{RequestHead, sigv4};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use message::Secret;

use super::cached::{Cached, Fresh};
use super::{Unsigned, fetch};

/// How long before their end credentials are fetched again, as AWS' own SDKs do.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// How long credentials without an end are used before the chain is asked again: a
/// rotated key in a profile is found without a restart.
const KEPT: Duration = Duration::from_secs(900);

const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Headers that are signed: those that every proxy leaves alone.
const SIGNED: [HeaderName; 2] = [HOST, CONTENT_TYPE];

/// Signs with credentials of the standard chain.
pub(crate) struct Chain {
    profile: Option<String>,
    region: String,
    service: String,
    provider: tokio::sync::OnceCell<DefaultCredentialsChain>,
    cached: Cached<Identity>,
}

struct Identity {
    access_key_id: String,
    secret: Secret,
    session_token: Option<Secret>,
}

impl Chain {
    pub(super) fn new(profile: Option<&str>, region: &str, service: &str) -> Self {
        Self {
            profile: profile.map(str::to_owned),
            region: region.to_owned(),
            service: service.to_owned(),
            provider: tokio::sync::OnceCell::new(),
            cached: Cached::new(),
        }
    }

    /// Adds date, session token and signature.
    pub(super) async fn sign(&self, unsigned: Unsigned<'_>, headers: &mut HeaderMap) -> Result<(), String> {
        let identity = self.cached.get(|| self.fetch()).await?;
        identity.sign(self, unsigned, headers, SystemTime::now())
    }

    async fn fetch(&self) -> Result<Fresh<Identity>, String> {
        let provider = self.provider.get_or_init(|| self.build()).await;
        let credentials = provider.provide_credentials().await.map_err(|error| {
            let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            format!(
                "the AWS credential chain (environment, profile, SSO, web identity, ECS, EC2) has nothing: {why}"
            )
        })?;
        Ok(fresh(&credentials, SystemTime::now()))
    }

    async fn build(&self) -> DefaultCredentialsChain {
        let config = ProviderConfig::empty()
            .with_http_client(OurClient)
            .with_sleep_impl(TokioSleep::new())
            .with_behavior_version(Some(aws_config::BehaviorVersion::v2026_01_12()))
            .with_region(Some(Region::new(self.region.clone())));
        let builder =
            DefaultCredentialsChain::builder().configure(config).region(Region::new(self.region.clone()));
        match &self.profile {
            Some(profile) => builder.profile_name(profile).build().await,
            None => builder.build().await,
        }
    }
}

fn fresh(credentials: &Credentials, now: SystemTime) -> Fresh<Identity> {
    let value = Identity {
        access_key_id: credentials.access_key_id().to_owned(),
        secret: Secret::new(credentials.secret_access_key()),
        session_token: credentials.session_token().map(Secret::new),
    };
    let (renew_in, expires_in) = match credentials.expiry() {
        Some(end) => {
            let left = end.duration_since(now).unwrap_or_default();
            (left.saturating_sub(RENEW_BEFORE), left)
        }
        None => (KEPT, KEPT * 2),
    };
    Fresh { value, renew_in, expires_in }
}

impl Identity {
    fn sign(
        &self,
        chain: &Chain,
        unsigned: Unsigned<'_>,
        headers: &mut HeaderMap,
        now: SystemTime,
    ) -> Result<(), String> {
        let now_s = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let timestamp = sigv4::timestamp(i64::try_from(now_s).unwrap_or(i64::MAX));
        let odd = |_| "the AWS credentials hold characters that cannot stand in a header".to_owned();
        let mut signed: HeaderMap = SIGNED
            .into_iter()
            .filter_map(|name| headers.get(&name).cloned().map(|value| (name, value)))
            .collect();
        signed.insert(X_AMZ_DATE, HeaderValue::from_str(&timestamp).map_err(odd)?);
        if let Some(token) = &self.session_token {
            let mut token = HeaderValue::from_str(token.expose()).map_err(odd)?;
            token.set_sensitive(true);
            signed.insert(X_AMZ_SECURITY_TOKEN, token);
        }
        let request = RequestHead {
            method: unsigned.method.as_str(),
            path: unsigned.uri.path(),
            query: unsigned.uri.query().unwrap_or_default(),
            headers: &signed,
        };
        let signer = sigv4::Signer {
            access_key_id: &self.access_key_id,
            secret: &self.secret,
            region: &chain.region,
            service: &chain.service,
        };
        let hash = sigv4::pieces_sha256(unsigned.body.iter().map(Bytes::as_ref));
        let mut signature = HeaderValue::from_str(&signer.sign(&request, &timestamp, &hash)).map_err(odd)?;
        signature.set_sensitive(true);
        signed.insert(AUTHORIZATION, signature);
        for name in [X_AMZ_DATE, X_AMZ_SECURITY_TOKEN, AUTHORIZATION] {
            if let Some(value) = signed.remove(&name) {
                headers.insert(name, value);
            }
        }
        Ok(())
    }
}

/// Our own HTTP client for the official crate: one TLS stack in the binary.
#[derive(Debug)]
struct OurClient;

impl HttpClient for OurClient {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Self)
    }
}

impl HttpConnector for OurClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(async move {
            let failed = |error: String| ConnectorError::io(error.into());
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(Box::new(error)))?;
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(ConnectorError::user)?.to_bytes();
            let response = fetch::send(http::Request::from_parts(head, body)).await.map_err(failed)?;
            HttpResponse::try_from(response.map(SdkBody::from))
                .map_err(|error| ConnectorError::other(Box::new(error), None))
        })
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, Uri};

    use super::*;

    #[test]
    fn lifetimes_follow_the_credentials() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        let until = |end_s: Option<u64>| {
            let end = end_s.map(|end_s| UNIX_EPOCH + Duration::from_secs(end_s));
            let fresh = fresh(&Credentials::new("AKID", "secret", None, end, "test"), now);
            (fresh.renew_in.as_secs(), fresh.expires_in.as_secs())
        };
        assert_eq!(until(None), (900, 1_800));
        assert_eq!(until(Some(4_600)), (3_300, 3_600));
        assert_eq!(until(Some(1_100)), (0, 100));
        assert_eq!(until(Some(500)), (0, 0));
    }

    /// The first vector of the dialect's own tests: what botocore 1.44.5 signs.
    #[test]
    fn a_signature_is_the_one_botocore_makes() {
        let identity = Identity {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: None,
        };
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("127.0.0.1:8080"));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("user-agent", HeaderValue::from_static("not signed"));
        let uri: Uri = "http://127.0.0.1:8080/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
            .parse()
            .unwrap();
        let body = [Bytes::from_static(b"{\"messages\""), Bytes::from_static(b":[]}")];
        let unsigned = Unsigned { method: &Method::POST, uri: &uri, body: &body };
        let chain = Chain::new(None, "us-east-1", "bedrock");
        let now = UNIX_EPOCH + Duration::from_secs(1_795_348_800);
        identity.sign(&chain, unsigned, &mut headers, now).unwrap();
        let authorization = headers["authorization"].to_str().unwrap();
        assert!(authorization.contains("SignedHeaders=content-type;host;x-amz-date,"), "{authorization}");
        let expected = "Signature=0dedbc5ddf5586dd3996fbd284483bedf06d18ea507001ec2089fe7f4cd42343";
        assert!(authorization.ends_with(expected), "{authorization}");
        assert!(headers["authorization"].is_sensitive());
    }
}
