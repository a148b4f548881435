"""Asks a service for a sound file's text with OpenAI's official client, in every way that it has.

Usage: openai_client.py BASE_URL KEY SOUND NOISE. Prints what came back as JSON.
"""

import json
import sys

import openai


def streamed(client, sound):
    """The deltas and the text at the end."""
    deltas, done = [], None
    with open(sound, "rb") as file:
        stream = client.audio.transcriptions.create(
            model="gpt-4o-transcribe", file=file, language="ja", stream=True
        )
        for event in stream:
            if event.type == "transcript.text.delta":
                deltas.append(event.delta)
            elif event.type == "transcript.text.done":
                done = event.text
    return {"deltas": deltas, "done": done}


def refusal(ask):
    """What the client raises."""
    try:
        ask()
    except openai.APIStatusError as error:
        return {
            "kind": type(error).__name__,
            "status": error.status_code,
            "code": error.code,
            "param": error.param,
            "message": error.message,
        }
    return None


def main():
    base_url, key, sound, noise = sys.argv[1:]
    client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=60)
    transcribe = client.audio.transcriptions.create

    def ask(path=sound, **wishes):
        with open(path, "rb") as file:
            return transcribe(model="whisper-1", file=file, **wishes)

    words = ask(
        language="ja",
        prompt="木村",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    stranger = openai.OpenAI(base_url=base_url, api_key="rsk_0", max_retries=0, timeout=60)
    with open(sound, "rb") as file:
        content = file.read()
    answers = {
        "json": ask(language="ja").text,
        "heard": ask().text,
        "text": ask(language="ja", response_format="text"),
        "srt": ask(language="ja", response_format="srt"),
        "vtt": ask(language="ja", response_format="vtt"),
        "verbose": ask(language="ja", response_format="verbose_json").model_dump(),
        "words": words.model_dump(),
        "warm": ask(language="ja", temperature=0.1).text,
        "bytes": transcribe(model="x", file=("a.wav", content), language="ja").text,
        "noise": ask(noise).text,
        "stream": streamed(client, sound),
        "refusals": {
            "key": refusal(lambda: stranger.audio.transcriptions.create(model="x", file=content)),
            "no sound": refusal(lambda: transcribe(model="x", file=("a.wav", b"no sound"))),
            "language": refusal(lambda: ask(language="xx")),
            "format": refusal(lambda: ask(response_format="xml")),
            "size": refusal(lambda: transcribe(model="x", file=("a.wav", bytes(27 << 20)))),
            "translation": refusal(
                lambda: client.audio.translations.create(model="x", file=("a.wav", content))
            ),
        },
    }
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
