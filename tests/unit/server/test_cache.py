from convserve_server.cache import ByteCache


def test_the_least_recently_used_goes_first():
    cache = ByteCache(10)
    cache.put("a", 1, 4)
    cache.put("b", 2, 4)
    assert cache.get("a") == 1
    cache.put("c", 3, 4)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)
    assert cache.byte_count == 8


def test_what_cannot_fit_is_not_kept_and_pushes_nothing_out():
    cache = ByteCache(10)
    cache.put("a", 1, 4)
    cache.put("b", 2, 11)
    assert (cache.get("a"), cache.get("b"), cache.byte_count) == (1, None, 4)


def test_putting_again_replaces():
    cache = ByteCache(10)
    cache.put("a", 1, 8)
    cache.put("a", 2, 6)
    assert (cache.get("a"), len(cache), cache.byte_count) == (2, 1, 6)


def test_drop():
    cache = ByteCache(10)
    for key in range(5):
        cache.put(key, key, 2)
    cache.drop(lambda key: key % 2 == 0)
    assert [cache.get(key) for key in range(5)] == [None, 1, None, 3, None]
    assert cache.byte_count == 4
