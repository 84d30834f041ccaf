from convserve_server.services.cache import Cache


def test_the_least_recently_used_goes_first():
    cache = Cache(30)
    for key in (b"a", b"b", b"c"):
        cache.put(key, key, 10)
    assert cache.get(b"a") == b"a"
    cache.put(b"d", b"d", 10)
    assert cache.get(b"b") is None
    assert [cache.get(key) for key in (b"a", b"c", b"d")] == [b"a", b"c", b"d"]


def test_what_is_larger_than_the_cache_is_not_kept():
    cache = Cache(30)
    cache.put(b"a", 1, 10)
    cache.put(b"b", 2, 31)
    assert (cache.get(b"a"), cache.get(b"b")) == (1, None)


def test_a_value_that_is_put_again_is_counted_once():
    cache = Cache(30)
    cache.put(b"a", 1, 20)
    cache.put(b"a", 2, 20)
    cache.put(b"b", 3, 10)
    assert (cache.get(b"a"), cache.get(b"b")) == (2, 3)
