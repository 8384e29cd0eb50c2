"""Documentation in the console: from the help, by topic, and by a word."""

from pg_events.text import pages


def test_the_help_opens_the_topics_and_a_page(console):
    async def scenario(c):
        await c.press("question_mark", "d")
        await c.shows("Documentation")
        for topic in pages.topics()[:5]:
            assert topic in c.text()

        await c.press("enter")
        await c.shows(f"Documentation: {pages.topics()[0]}")
        title = pages.page(pages.topics()[0]).splitlines()[0].removeprefix("# ")
        await c.shows(title)

        await c.press("escape")
        await c.until(lambda: pages.topics()[1] in c.text())
        await c.press("escape")
        assert len(c.app.screen_stack) == 1

    console(scenario)


def test_a_search_lists_the_lines_and_opens_the_page_there(console):
    word = "PG_EVENTS_RETENTION"
    matches = pages.search(word, pages.topics())

    async def scenario(c):
        await c.press("question_mark", "d", "slash")
        await c.type(word)
        await c.press("enter")
        await c.shows(f"Documentation: {len(matches)} lines with {word}")

        await c.press("enter")
        await c.shows(f"Documentation: {matches[0].topic}")
        await c.shows(word)

        await c.press("q")
        assert len(c.app.screen_stack) == 1

    console(scenario, size=(80, 24))


def test_a_word_that_no_page_has_says_so(console):
    async def scenario(c):
        await c.press("question_mark", "d", "slash")
        await c.type("xyzzy")
        await c.press("enter")
        await c.shows("no line contains this word")

    console(scenario)
