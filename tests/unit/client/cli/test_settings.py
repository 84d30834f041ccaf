from convserve_client.cli.settings import Settings, read_settings


def test_the_environment_gives_server_and_token() -> None:
    assert read_settings({"CONVSERVE_SERVER": "host:1", "CONVSERVE_TOKEN": "t"}) == Settings(
        "host:1", "t"
    )


def test_empty_variables_are_not_set() -> None:
    assert read_settings({"CONVSERVE_SERVER": ""}) == Settings()
