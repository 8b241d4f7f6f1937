# SPDX-License-Identifier: Apache-2.0
"""Dictionaries that have come with the plugin."""
import shutil

from harness import BUILD, needs

pytestmark = needs("spell")


def test_a_dictionary_beside_the_plugin_is_found(start, place):
    shutil.copy(BUILD / "plugins" / "spell.so", place / "spell.so")
    (place / "hunspell").mkdir()
    (place / "hunspell" / "xx_XX.aff").write_text("SET UTF-8\n")
    (place / "hunspell" / "xx_XX.dic").write_text("1\nzzyzx\n")
    pool = {"plugin": str(place / "spell.so"), "class": "Dictionary"}
    daemon = start(pools={"own": {**pool, "args": '["xx_XX"]'}, "usual": pool})
    with daemon.client() as client:
        assert client.value("own.check", "zzyzx") is True
        assert client.value("usual.check", "zzyzx") is False
        error = client.error("objpool.create", {"pool": "none", **pool, "args": ["yy_YY"]})
        assert "/usr/share/hunspell/yy_YY.aff: No such file" in str(error)
