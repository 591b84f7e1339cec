//! Settings from the environment and the configuration.

use super::*;

fn options() -> BaoOptions {
    BaoOptions {
        address: None,
        namespace: None,
        mount: "secret".into(),
        path: "keywright/default".into(),
        base_service: "keywright".into(),
        service: "keywright".into(),
        role_id: None,
        kubernetes_role: None,
        auth_mount: None,
        request_timeout: Duration::from_secs(5),
        read_var: |_| None,
        find_proxy: |_| Ok(None),
    }
}

fn with<T>(variables: &[(&str, &str)], read: impl FnOnce(&Environment<'_>) -> T) -> T {
    let lookup = |name: &str| {
        variables.iter().find(|(set, _)| *set == name).map(|(_, value)| OsString::from(value))
    };
    read(&Environment(&lookup))
}

#[expect(clippy::redundant_closure_for_method_calls, reason = "a path has no general lifetime")]
fn tls(variables: &[(&str, &str)]) -> Result<TlsSettings, Error> {
    with(variables, |environment| environment.tls())
}

fn address(variables: &[(&str, &str)]) -> Result<String, String> {
    with(variables, |environment| environment.address(&options()))
        .map(|url| url.to_string())
        .map_err(|error| error.to_string())
}

#[test]
fn variables_of_openbao_take_precedence_over_those_of_vault() {
    let (bao, vault) = (("BAO_ADDR", "https://a.example"), ("VAULT_ADDR", "https://b.example"));
    assert_eq!(address(&[vault, bao]).as_deref(), Ok("https://a.example/"));
    assert_eq!(address(&[vault]).as_deref(), Ok("https://b.example/"));
    assert_eq!(address(&[]).as_deref(), Ok("https://127.0.0.1:8200/"));
    // Set to nothing it hides the other, as in the engine's own client.
    assert_eq!(address(&[vault, ("BAO_ADDR", "")]).as_deref(), Ok("https://127.0.0.1:8200/"));
}

#[test]
fn a_token_is_sent_in_plaintext_to_this_machine_only() {
    assert!(address(&[("BAO_ADDR", "http://127.0.0.1:8200")]).is_ok());
    assert!(address(&[("BAO_ADDR", "http://localhost:8200")]).is_ok());
    let plain = ("VAULT_ADDR", "http://bao.example:8200");
    let error = address(&[plain]).unwrap_err();
    assert!(error.starts_with("VAULT_ADDR begins with http://"), "{error}");
    assert!(address(&[plain, ("BAO_SKIP_VERIFY", "true")]).is_ok());
    for wrong in ["bao.example", "unix:///run/bao", "https://me:secret@bao.example", "https://"] {
        let error = address(&[("BAO_ADDR", wrong)]).unwrap_err();
        assert!(!error.contains("secret"), "{error}");
    }
}

fn token(variables: &[(&str, &str)], home: &Path) -> String {
    match with(variables, |environment| environment.credentials(&options(), Some(home))) {
        Ok(Some(Credentials::Token(token))) => token_text(&token),
        Ok(Some(Credentials::AppRole { mount, role_id, secret_id })) => {
            format!("{mount} {role_id} {}", token_text(&secret_id))
        }
        Ok(Some(Credentials::Kubernetes { mount, role, jwt })) => {
            format!("{mount} {role} {}", token_text(&jwt))
        }
        Ok(None) => "none".into(),
        Err(error) => error.to_string(),
    }
}

#[expect(clippy::disallowed_methods, reason = "the test compares the token")]
fn token_text(secret: &SecretString) -> String {
    use secrecy::ExposeSecret;
    secret.expose_secret().to_owned()
}

#[test]
fn the_token_of_a_variable_comes_before_a_login_and_that_before_the_stored_token() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let role = [("BAO_ROLE_ID", "r"), ("BAO_SECRET_ID", "s")];
    assert_eq!(token(&[], home), "none");
    fs::write(home.join(".vault-token"), "stored\n").unwrap();
    assert_eq!(token(&[], home), "stored");
    assert_eq!(token(&role, home), "approle r s");
    assert_eq!(token(&[role[0], role[1], ("VAULT_TOKEN", "t")], home), "t");
    assert_eq!(token(&[("VAULT_TOKEN", "t"), ("BAO_TOKEN", "b")], home), "b");
    assert_eq!(token(&[("BAO_TOKEN", "two words")], home), "BAO_TOKEN is not a token");
    assert_eq!(token(&role[..1], home), "BAO_SECRET_ID is not set, and a role id is");
    let jwt = home.join("jwt");
    fs::write(&jwt, "a.b.c\n").unwrap();
    let jwt = ("BAO_KUBERNETES_TOKEN_FILE", jwt.to_str().unwrap());
    assert_eq!(token(&[("VAULT_KUBERNETES_ROLE", "app"), jwt], home), "kubernetes app a.b.c");
}

#[cfg(unix)]
#[test]
fn a_token_helper_is_asked_in_place_of_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    fs::write(home.join(".vault-token"), "stored").unwrap();
    let helper = home.join("helper");
    fs::write(&helper, "#!/bin/sh\n[ \"$1\" = get ] && echo helped\n").unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(home.join(".bao"), format!("token_helper = \"{}\"\n", helper.display())).unwrap();
    assert_eq!(token(&[], home), "helped");
    fs::write(home.join(".bao"), "token_helper = \"helper\"\n").unwrap();
    assert!(token(&[], home).contains("is not an absolute path"));
}

#[test]
fn tls_settings_name_the_variable_that_is_wrong() {
    let error = tls(&[("VAULT_CACERT", "/nowhere.pem")]);
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("VAULT_CACERT names /nowhere.pem, which cannot be read"), "{error}");
    let error = tls(&[("BAO_CLIENT_KEY", "/k.pem")]);
    assert_eq!(error.unwrap_err().to_string(), "BAO_CLIENT_KEY is set alone");
    let error = tls(&[("BAO_SKIP_VERIFY", "yes")]);
    assert_eq!(error.unwrap_err().to_string(), "BAO_SKIP_VERIFY is neither true nor false");
    let tls = tls(&[("BAO_TLS_SERVER_NAME", "bao.example")]);
    assert_eq!(tls.unwrap().server_name.as_deref(), Some("bao.example"));
}
