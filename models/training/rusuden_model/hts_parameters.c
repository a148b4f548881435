/* Open JTalk labels in, vocoder parameters out: what hts_engine knows before it makes sound.
 *
 * hts_engine's own vocoder is slow and cannot warp a voice as we want to, so we stop after
 * parameter generation and hand out mel-generalised cepstra, log F0 and phone durations.
 * Refuses to know: anything about text, sampling rates or sound.
 */
#include <HTS_engine.h>
#include <stdlib.h>

enum { STREAM_SPECTRUM = 0, STREAM_PITCH = 1, STREAM_COUNT = 3, VOICE_COUNT = 2 };

typedef struct {
  double duration_mix, spectrum_mix, pitch_mix; /* share of the first voice, 0..1 */
  double speed, half_tones, spectrum_variance, pitch_variance;
} VoiceSettings;

HTS_Engine *voices_open(char *first, char *second) {
  HTS_Engine *engine = malloc(sizeof *engine);
  char *paths[VOICE_COUNT] = {first, second};
  if (engine == NULL) return NULL;
  HTS_Engine_initialize(engine);
  if (!HTS_Engine_load(engine, paths, VOICE_COUNT)) {
    free(engine);
    return NULL;
  }
  return engine;
}

static void apply(HTS_Engine *engine, const VoiceSettings *settings) {
  double mix[STREAM_COUNT] = {settings->spectrum_mix, settings->pitch_mix, settings->spectrum_mix};
  for (size_t stream = 0; stream < STREAM_COUNT; stream++) {
    HTS_Engine_set_parameter_interpolation_weight(engine, 0, stream, mix[stream]);
    HTS_Engine_set_parameter_interpolation_weight(engine, 1, stream, 1 - mix[stream]);
    HTS_Engine_set_gv_interpolation_weight(engine, 0, stream, mix[stream]);
    HTS_Engine_set_gv_interpolation_weight(engine, 1, stream, 1 - mix[stream]);
  }
  HTS_Engine_set_duration_interpolation_weight(engine, 0, settings->duration_mix);
  HTS_Engine_set_duration_interpolation_weight(engine, 1, 1 - settings->duration_mix);
  HTS_Engine_set_speed(engine, settings->speed);
  HTS_Engine_add_half_tone(engine, settings->half_tones);
  HTS_Engine_set_gv_weight(engine, STREAM_SPECTRUM, settings->spectrum_variance);
  HTS_Engine_set_gv_weight(engine, STREAM_PITCH, settings->pitch_variance);
}

/* Returns the number of frames written, or a negative number when the engine refuses or the
 * buffers (frame_limit frames of spectrum_order values) are too small. */
int voices_generate(HTS_Engine *engine, char **labels, int label_count, const VoiceSettings *settings,
                    int spectrum_order, int frame_limit, float *spectrum, float *log_pitch, int *durations) {
  apply(engine, settings);
  if (!HTS_Engine_generate_state_sequence_from_strings(engine, labels, (size_t)label_count)) return -1;
  if (!HTS_Engine_generate_parameter_sequence(engine)) {
    HTS_Engine_refresh(engine);
    return -2;
  }
  int frames = (int)engine->pss.total_frame;
  HTS_PStream *cepstra = &engine->pss.pstream[STREAM_SPECTRUM];
  HTS_PStream *pitch = &engine->pss.pstream[STREAM_PITCH];
  if (frames > frame_limit || (int)cepstra->vector_length != spectrum_order) {
    HTS_Engine_refresh(engine);
    return -3;
  }
  int states = (int)HTS_Engine_get_nstate(engine);
  for (int label = 0; label < label_count; label++) {
    durations[label] = 0;
    for (int state = 0; state < states; state++)
      durations[label] += (int)HTS_Engine_get_state_duration(engine, (size_t)(label * states + state));
  }
  int voiced = 0;
  for (int frame = 0; frame < frames; frame++) {
    for (int k = 0; k < spectrum_order; k++) spectrum[frame * spectrum_order + k] = (float)cepstra->par[frame][k];
    log_pitch[frame] = pitch->msd_flag[frame] ? (float)pitch->par[voiced++][0] : 0;
  }
  HTS_Engine_refresh(engine);
  return frames;
}
